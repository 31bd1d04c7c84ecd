-- tokens.lua: rotates through the tokens of the file in BENCH_TOKENS; requests are made before the load.
local requests, i = {}, 0
function init(args)
	for token in io.lines(os.getenv("BENCH_TOKENS")) do
		requests[#requests + 1] = wrk.format("GET", "/v1/hello/x", { ["Authorization"] = "Bearer " .. token })
	end
end
function request()
	i = i % #requests + 1
	return requests[i]
end
