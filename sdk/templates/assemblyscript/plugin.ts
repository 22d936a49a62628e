// {{NAME}} blocks texts that contain a word of its configuration.
import * as ledge from "./ledge";

export function guard(): i32 {
  const text = ledge.jsonString(ledge.jsonMember(ledge.input(), "text"));
  if (text === null) return ledge.fail("the request has no text");
  const configured = ledge.config("word");
  const word: string = configured !== null ? configured : "bluebird";
  if (text.includes(word)) {
    return ledge.output("{\"verdict\":\"block\",\"reason\":" + ledge.jsonQuote("names what must not be named") + "}");
  }
  return ledge.output("{\"verdict\":\"allow\"}");
}
