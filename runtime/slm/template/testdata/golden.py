"""Writes golden.json: what Python's jinja2, set up as Hugging Face transformers does, makes of the templates.

Run by hand in this folder after a template is added: pip install jinja2==3.1.6 && python golden.py
"""
import datetime
import glob
import json
import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_render"), [], [], body).set_lineno(line)

    def _render(self, caller):
        return caller()


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols])
env.filters["tojson"] = tojson
env.globals["raise_exception"] = raise_exception
env.globals["strftime_now"] = lambda f: datetime.datetime(2026, 3, 9, 8, 5, 0).strftime(f)

weather = {"type": "function", "function": {
    "name": "weather", "description": "Weather at a <place> & time",
    "parameters": {"type": "object", "properties": {
        "place": {"type": "string"}, "unit": {"enum": ["C", "F"]}, "days": {"type": "integer", "minimum": 1.5}},
        "required": ["place"]}}}
clock = {"type": "function", "function": {
    "name": "clock", "description": "What time is it?", "parameters": {"type": "object", "properties": {}}}}
call = {"role": "assistant", "content": "", "tool_calls": [{"id": "call_1", "type": "function", "function": {
    "name": "weather", "arguments": {"place": "Zürich \"ZH\"", "days": 2}}}]}
answer = {"role": "tool", "content": "{\"t\": 21}", "name": "weather", "tool_call_id": "call_1"}
user = {"role": "user", "content": " How warm is it\nin Zürich? <b>&'\" "}
chats = {
    "user": [user],
    "system": [{"role": "system", "content": "Be brief. "}, user],
    "turns": [user, {"role": "assistant", "content": "<think>\nhm\n</think>\n\n21 degrees, as far as I can see. "},
              {"role": "user", "content": "Thanks"}],
    "tools": [{"role": "system", "content": "Use tools."}, user, call, answer],
    "unordered": [user, user],
}

cases = []
for path in sorted(glob.glob("*.jinja")):
    template = env.from_string(open(path, encoding="utf-8").read())
    for chat, messages in chats.items():
        for tools in (None, [weather, clock]):
            for gen in (False, True):
                try:
                    out, error = template.render(messages=messages, tools=tools, documents=None,
                                                 add_generation_prompt=gen, bos_token="<s>", eos_token="</s>"), ""
                except Exception as e:
                    out, error = "", str(e)
                cases.append({"template": path, "messages": chat, "tools": tools is not None, "generate": gen,
                              "want": out, "error": error})
json.dump({"chats": chats, "tools": [weather, clock], "cases": cases},
          open("golden.json", "w", encoding="utf-8"), ensure_ascii=False, indent=1)
