// A mock remote model behind the OpenAI API: it calls the tool that it must call, answers JSON where JSON is asked for, and
// otherwise says a sentence word by word. It prints its port.
import { createServer } from "node:http";

const server = createServer(async (req, res) => {
  let body = "";
  for await (const part of req) body += part;
  const ask = JSON.parse(body || "{}");
  const slow = body.includes("slowly");
  res.writeHead(200, { "content-type": "text/event-stream" });
  const send = (choice, usage) =>
    res.write(`data: ${JSON.stringify({ id: "c1", object: "chat.completion.chunk", created: 1, model: ask.model, choices: choice ? [{ index: 0, finish_reason: null, ...choice }] : [], usage })}\n\n`);
  if (ask.tools && (ask.tool_choice === "required" || ask.tool_choice?.function)) {
    const name = ask.tools[0].function.name;
    send({ delta: { role: "assistant", tool_calls: [{ index: 0, id: "call_1", type: "function", function: { name, arguments: "" } }] } });
    send({ delta: { tool_calls: [{ index: 0, function: { arguments: '{"city":"Oslo"}' } }] } });
    send({ delta: {}, finish_reason: "tool_calls" });
  } else {
    const text = ask.response_format ? '{"city": "Oslo"}' : "The harbour was quiet. ".repeat(slow ? 500 : 1);
    for (const word of text.match(/\S+\s*/g)) {
      if (res.destroyed) return;
      send({ delta: { content: word } });
      if (slow) await new Promise((r) => setTimeout(r, 20));
    }
    send({ delta: {}, finish_reason: "stop" });
  }
  send(null, { prompt_tokens: 5, completion_tokens: 4, total_tokens: 9 });
  res.end("data: [DONE]\n\n");
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
