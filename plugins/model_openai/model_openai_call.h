/* model_openai_call.h: one generation with one provider: the only file here that does I/O. */
#ifndef MODEL_OPENAI_CALL_H
#define MODEL_OPENAI_CALL_H

#include <insula/model.h>

#include "plugins/model_openai/model_openai_conf.h"

/* As ins_model.generate, with the model found. Runs in the caller's task; when that is cancelled
 * the connection to the provider closes before this returns. */
INS_AWAITS
int call_generate(
    ins_ctx *, const struct model *, const json_t *in, const ins_sink *sink, json_t **ret_out);

#endif
