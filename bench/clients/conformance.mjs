// The same checks through four clients, unmodified: chat, stream, tools, JSON by schema, errors, a client that leaves.
//
//	node conformance.mjs BASE_URL MODEL      BASE_URL ends in /v1
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { Ollama } from "ollama";
import { generateText, generateObject, streamText, tool } from "ai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { z } from "zod";

const [base, model = "default"] = process.argv.slice(2);
const root = base.replace(/\/v1$/, "");
const prompt = "Once upon a time";
const schema = { type: "object", properties: { city: { type: "string", enum: ["Oslo", "Rome"] } }, required: ["city"], additionalProperties: false };
const fn = { name: "weather", description: "the weather of a city", parameters: schema };
const messages = [{ role: "user", content: prompt }];
const slowly = [{ role: "user", content: "Say it slowly" }];

const openai = new OpenAI({ baseURL: base, apiKey: "none", maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: root, apiKey: "none", maxRetries: 0 });
const ollama = new Ollama({ host: root });
const sdk = createOpenAICompatible({ name: "ledge", baseURL: base, supportsStructuredOutputs: true });

async function join(stream, text) {
  let out = "";
  for await (const part of stream) out += text(part) ?? "";
  return out;
}

// leaves reads a little of a long stream, stops, and expects that the server does not mind.
async function leaves(stream, stop) {
  let n = 0;
  try {
    for await (const _ of stream) if (++n === 2) stop();
  } catch (err) {
    assert.match(String(err?.name) + String(err?.message), /abort/i);
  }
  assert.ok(n < 400, `the stream went on for ${n} parts`);
}

const clients = {
  "openai": {
    chat: async () => (await openai.chat.completions.create({ model, messages, max_tokens: 12 })).choices[0].message.content,
    stream: async () => join(await openai.chat.completions.create({ model, messages, max_tokens: 12, stream: true }), (c) => c.choices[0]?.delta?.content),
    tools: async () => {
      const r = await openai.chat.completions.create({ model, messages, max_tokens: 200, tools: [{ type: "function", function: fn }], tool_choice: "required" });
      const call = r.choices[0].message.tool_calls[0].function;
      return [call.name, JSON.parse(call.arguments)];
    },
    json: async () => JSON.parse((await openai.chat.completions.create({ model, messages, max_tokens: 200, response_format: { type: "json_schema", json_schema: { name: "city", schema, strict: true } } })).choices[0].message.content),
    error: async () => openai.chat.completions.create({ model: "nowhere", messages }),
    cancel: async () => {
      const s = await openai.chat.completions.create({ model, messages: slowly, max_tokens: 400, stream: true });
      await leaves(s, () => s.controller.abort());
    },
  },
  "@anthropic-ai/sdk": {
    chat: async () => (await anthropic.messages.create({ model, messages, max_tokens: 12 })).content[0].text,
    stream: async () => {
      const s = anthropic.messages.stream({ model, messages, max_tokens: 12 });
      const text = await join(s, (e) => (e.type === "content_block_delta" ? e.delta.text : ""));
      assert.equal((await s.finalMessage()).content[0].text, text);
      return text;
    },
    tools: async () => {
      const ask = { model, messages, max_tokens: 200, tools: [{ name: fn.name, description: fn.description, input_schema: schema }], tool_choice: { type: "any" } };
      const r = await anthropic.messages.create(ask);
      assert.equal(r.stop_reason, "tool_use");
      const streamed = (await anthropic.messages.stream(ask).finalMessage()).content.find((b) => b.type === "tool_use");
      assert.equal(streamed.name, fn.name);
      assert.ok("city" in streamed.input);
      const use = r.content.find((b) => b.type === "tool_use");
      const after = await anthropic.messages.create({ model, max_tokens: 12, messages: [...messages, { role: "assistant", content: r.content },
        { role: "user", content: [{ type: "tool_result", tool_use_id: use.id, content: "sunny" }] }] });
      assert.equal(after.role, "assistant");
      return [use.name, use.input];
    },
    error: async () => anthropic.messages.create({ model: "nowhere", messages, max_tokens: 5 }),
    cancel: async () => {
      const s = anthropic.messages.stream({ model, messages: slowly, max_tokens: 400 });
      await leaves(s, () => s.abort());
    },
  },
  "ollama": {
    chat: async () => (await ollama.chat({ model, messages, options: { num_predict: 12 } })).message.content,
    stream: async () => {
      let last;
      const text = await join(await ollama.chat({ model, messages, stream: true, options: { num_predict: 12 } }), (c) => ((last = c), c.message.content));
      assert.equal(last.done, true);
      assert.ok(last.eval_count > 0);
      return text;
    },
    generate: async () => (await ollama.generate({ model, prompt, options: { num_predict: 12 } })).response,
    json: async () => JSON.parse((await ollama.chat({ model, messages, format: schema, options: { num_predict: 200 } })).message.content),
    list: async () => {
      assert.ok((await ollama.list()).models.some((m) => m.name === model));
      assert.ok((await ollama.show({ model })).capabilities.includes("completion"));
      return "listed";
    },
    error: async () => ollama.chat({ model: "nowhere", messages }).catch((e) => { throw Object.assign(e, { status: e.status_code }); }),
    cancel: async () => {
      const s = await ollama.chat({ model, messages: slowly, stream: true, options: { num_predict: 400 } });
      await leaves(s, () => s.abort());
    },
  },
  "AI SDK": {
    chat: async () => (await generateText({ model: sdk(model), prompt, maxOutputTokens: 12, maxRetries: 0 })).text,
    stream: async () => join(streamText({ model: sdk(model), prompt, maxOutputTokens: 12, maxRetries: 0 }).textStream, (t) => t),
    tools: async () => {
      const r = await generateText({ model: sdk(model), prompt, maxOutputTokens: 200, maxRetries: 0, toolChoice: "required",
        tools: { weather: tool({ description: fn.description, inputSchema: z.object({ city: z.enum(["Oslo", "Rome"]) }) }) } });
      return [r.toolCalls[0].toolName, r.toolCalls[0].input];
    },
    json: async () => (await generateObject({ model: sdk(model), prompt, maxOutputTokens: 200, maxRetries: 0, schema: z.object({ city: z.enum(["Oslo", "Rome"]) }) })).object,
    error: async () => generateText({ model: sdk("nowhere"), prompt, maxRetries: 0 }).catch((e) => { throw Object.assign(e, { status: e.statusCode }); }),
    cancel: async () => {
      const stop = new AbortController();
      await leaves(streamText({ model: sdk(model), messages: slowly, maxOutputTokens: 400, maxRetries: 0, abortSignal: stop.signal }).textStream, () => stop.abort());
    },
  },
};

// expected is what every client must make of a check.
const expected = {
  chat: (v) => assert.ok(v.length > 0),
  stream: (v) => assert.ok(v.length > 0),
  generate: (v) => assert.ok(v.length > 0),
  list: (v) => assert.equal(v, "listed"),
  tools: ([name, input]) => (assert.equal(name, "weather"), assert.equal(typeof input.city, "string")),
  json: (v) => assert.equal(typeof v.city, "string"),
  cancel: () => {},
};

let passed = 0;
let failed = 0;
for (const [name, checks] of Object.entries(clients)) {
  for (const [what, run] of Object.entries(checks)) {
    try {
      if (what === "error") await assert.rejects(run, (err) => (assert.equal(err.status, 404), true));
      else expected[what](await run());
      passed++;
    } catch (err) {
      failed++;
      console.log("FAILED", name, what, "\n      ", err?.message ?? err);
    }
  }
}
const live = await fetch(root + "/livez");
assert.equal(live.status, 200);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
