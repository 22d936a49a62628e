// {{NAME}} blocks texts that contain a word of its configuration.
#include "ledge.h"

LEDGE_EXPORT("guard") int guard(void) {
  ledge_text request = ledge_input(), raw, text, word = LEDGE_TEXT("bluebird");
  if (!ledge_json_member(request, LEDGE_TEXT("text"), &raw) || !ledge_json_string(raw, &text)) {
    ledge_error(LEDGE_TEXT("the request has no text"));
    return 1;
  }
  ledge_config(LEDGE_TEXT("word"), &word);
  if (!ledge_contains(text, word)) {
    ledge_output(LEDGE_TEXT("{\"verdict\":\"allow\"}"));
    return 0;
  }
  ledge_builder b = {0};
  ledge_add(&b, LEDGE_TEXT("{\"verdict\":\"block\",\"reason\":"));
  ledge_add_string(&b, LEDGE_TEXT("names what must not be named"));
  ledge_add(&b, LEDGE_TEXT("}"));
  ledge_output(ledge_built(&b));
  return 0;
}
