/* fuzz_extract: the first byte picks the format; the document is extracted, written as JSON and cut
 * into passages. */
#include <string.h>

#include "child/doc.h"
#include "plugins/knowledge/chunk.h"

int LLVMFuzzerTestOneInput(const uint8_t *, size_t);

static int
discard(void *arg, const char *p, size_t n)
{
	size_t *total = arg;

	*total += n;
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const types[] = { "text/html", "text/markdown", "text/plain",
		"text/html; charset=gb18030" };
	struct chunk_block blocks[256];
	struct chunks chunks;
	const char *why;
	struct doc d;
	size_t total = 0;
	uint32_t i;

	if (n == 0)
		return 0;
	doc_init(&d);
	if (extract_document(&d, types[data[0] % 4], (const char *)data + 1, n - 1) == 0) {
		doc_json(&d, discard, &total);
		if (doc_utf8_check(d.text.p, d.text.n) >= 0 || total < d.text.n)
			__builtin_trap();
		for (i = 0; i < d.n_blocks && i < 256; i++)
			blocks[i] = (struct chunk_block){ d.blocks[i].start, d.blocks[i].end,
				d.blocks[i].page, d.blocks[i].type, d.blocks[i].level };
		/* what the extractor says of its text must be true of it */
		if (chunk_split(d.text.p, d.text.n, blocks, i, &chunks, &why) != 0)
			__builtin_trap();
		chunks_fini(&chunks);
	}
	doc_fini(&d);
	return 0;
}
