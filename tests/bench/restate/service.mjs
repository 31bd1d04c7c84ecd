// The reference of P5: a service of three durable steps for a Restate server. PORT says where.
import * as restate from "@restatedev/restate-sdk";

// The SDK wants Node 22; this is all that it misses in 20.
Promise.withResolvers ??= function () {
	let resolve, reject;
	const promise = new Promise((a, b) => {
		resolve = a;
		reject = b;
	});
	return { promise, resolve, reject };
};

const bench = restate.service({
	name: "bench",
	handlers: {
		three: async (ctx) => {
			await ctx.run("a", () => ({}));
			await ctx.run("b", () => ({}));
			await ctx.run("c", () => ({}));
			return { status: "completed" };
		},
	},
});
const port = Number(process.env.PORT);
if ("serve" in restate) restate.serve({ services: [bench], port });
else restate.endpoint().bind(bench).listen(port);
