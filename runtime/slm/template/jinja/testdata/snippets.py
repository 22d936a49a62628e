"""Writes snippets.json: what Python's jinja2, set up as Hugging Face transformers does, makes of small templates.

Run by hand in this folder: pip install jinja2==3.1.6 && python snippets.py
"""
import json
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment

env = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


env.filters["tojson"] = tojson
values = {"n": 3, "f": 2.5, "s": "Hello, Wörld", "e": "", "yes": True, "nothing": None,
          "xs": [3, 1, 2], "d": {"b": 1, "a": [1, "x", None, True]},
          "ms": [{"role": "user", "content": " hi "}, {"role": "assistant", "content": "yo"}, {"role": "user", "content": "bye", "k": {"v": 1}}]}

exprs = r"""
n + 1|n - 5|n * 2|n / 2|7 // 2|-7 // 2|-7 % 3|7 % -3|2 ** 10|2 ** -1|1.5 + n|10 / 5|1e3|1_000|-n|--n|- n ** 2|+f
'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1,'a']|'a' 'b'|'a' + 'b' * 2|n ~ n + 1|1 + 2 ~ 3 * 4|'%s-%d' % ('a', 2)|'x' * n|[1] * 2|[1] + [2]|(1,) + (2,3)
none|true|none == nothing|1 == 1.0|1 == true|'1' == 1|[1,2] == [1,2]|(1,2) == [1,2]|{'a':1} == {'a':1.0}|1 < 2 < 3|1 < 3 < 2|'a' < 'b'|[1,2] < [1,3]
not yes and e|not (yes and e)|yes or nosuch.x|e or 'z'|e and 'z'|xs or 1|not nosuch|nosuch == nosuch2|nosuch is none
1 in xs|5 not in xs|'Hell' in s|'b' in d|'q' not in d|not 1 in xs|n in [3] and yes|2 in xs == true
'x' if yes else 'y'|'x' if e|('x' if e else 'y') + 'z'|'a' if e else 'b' if e else 'c'|['a' if yes else 'b', 1]|d.b if d.b is defined else 0
xs[0]|xs[-1]|xs[9]|s[0]|s[-3:]|s[1:4]|s[::-1]|s[::2]|xs[1:]|xs[:-1]|xs[::-1]|xs[5:]|xs[-2:][0]|ms[1:][0].role|ms[0]['role']|d['a'][1]|d.a[0]|d.zz|d['zz']|ms.0.role|ms[-1].k.v
ms[0].get('role')|ms[0].get('zz')|ms[0].get('zz', 'q')|d.items()|list|d.keys()|list|d.values()|list|d|ms[0]|(1,)|()|(1,'a')|[]|{}|{'a': {'b': 'c'}}|"it's"|['it\'s', "q\"q", 'a\nb']
s.upper()|s.lower()|s.title()|s.split(', ')|s.split()|' a  b '.split()|'a,b,c'.split(',', 1)|'a b c'.split(none, 1)|'a,b,c'.rsplit(',', 1)|' x '.strip()|'xxaxx'.strip('x')|'xa'.lstrip('x')|'ax '.rstrip()|s.startswith('He')|s.endswith(('x','d'))|s.replace('l','L')|s.replace('l','L',1)|s.find('W')|s.find('zz')|s.count('l')|s.index('W')
'a-b'.partition('-')|'a-b-c'.rpartition('-')|'ab'.partition('-')|'-'.join(['a','b'])|'12'.isdigit()|''.isdigit()|'ab'.isalpha()|'aB'.islower()|'AB'.isupper()|'x y'.capitalize()|'hello wORLD'.title()|"they're".title()|'a\nb\n'.splitlines()|'{} {}'.format(1,'a')|'{0}{1}{0}'.format(1,2)|'{a}{{}}'.format(a=1)|'abc'.removeprefix('a')|'abc'.removesuffix('c')
s|length|xs|length|d|length|xs|first|xs|last|[]|first|xs|sort|xs|sort(reverse=true)|xs|reverse|list|s|reverse|xs|join(', ')|xs|join|ms|map(attribute='role')|join('/')|ms|map(attribute='k.v', default=0)|list|ms|selectattr('role','equalto','user')|list|length|ms|selectattr('k')|list|length|ms|selectattr('k','defined')|map(attribute='content')|list|ms|rejectattr('role','eq','user')|map(attribute='content')|first
xs|select('odd')|list|xs|reject('gt', 1)|list|xs|select|list|['a','B']|map('upper')|list|[1,1,2]|unique|list|['a','A']|unique|list|['b','A','c']|sort|['b','A','c']|sort(case_sensitive=true)|ms|sort(attribute='content')|map(attribute='content')|list
nosuch|default('x')|e|default('x')|e|default('x', true)|nothing|default('x')|nothing|d('x', true)|s|trim|' x '|trim|'xxaxx'|trim('x')|s|upper|s|lower|s|title|s|capitalize|s|replace('o','0')|n|string + 'x'|'5'|int + 1|'x'|int|'x'|int(7)|'2.9'|int|f|int|'2.5'|float|n|float|-n|abs|2.567|round(1)|2.5|round|3.5|round|2.1|round(method='ceil')|2.567|round(2,'floor')
xs|sum|xs|min|xs|max|ms|map(attribute='role')|list|max|'a\nb\n\nc'|indent|'a\nb'|indent(2, true)|'a\nb'|indent('> ')|'%s!'|format('x')|'<a>&"'|e|d|items|list|d|dictsort|{'b':1,'A':2,'c':0}|dictsort|{'b':1,'A':2,'c':0}|dictsort(false,'value')
d|tojson|d|tojson(indent=2)|s|tojson|'<>&\'"\n\t\\\u2028é😀'|tojson|1.0|tojson|1e100|tojson|none|tojson|[]|tojson(indent=2)|{}|tojson(indent=2)|{'b':1,'a':2}|tojson(sort_keys=true)|d|tojson(separators=(',',':'))|'é'|tojson(ensure_ascii=true)|'😀'|tojson(ensure_ascii=true)|(1,2)|tojson
n is defined|nosuch is defined|nosuch is not defined|nosuch is undefined|nothing is none|n is not none|n is number|yes is number|yes is integer|n is integer|f is float|s is string|xs is string|d is mapping|xs is iterable|n is iterable|s is iterable|xs is sequence|d is sequence|yes is true|yes is boolean|e is false|n is odd|n is even|6 is divisibleby 3|6 is divisibleby(4)|n is in xs|n is in [1]|n is eq 3|n is ne 3|n is gt 2|'a' is lower|'A' is upper|n is sameas 3|n is odd and yes|n is odd or nosuch.x|range is callable|not n is defined|n is string or s is string
1.0|0.1 + 0.2|1e16|1e15|1e-5|0.0001|100.0|1/3|-0.0|12345678901234567890.0|5 // 2.0|5 % 2.5|range(3)|list|range(1, 7, 2)|list|range(3, 0, -1)|list|namespace(a=1).a|dict(a=1, b=2)|dict(d, c=3)|[1,[2,(3,)]]|'\x41\u00e9\101\q\''
"""
# The separator of expressions is also Jinja's own pipe: a filter name after it belongs to the expression.
snippets = []
for line in exprs.strip().split("\n"):
    parts, cur = [], ""
    for piece in line.split("|"):
        word = piece.split("(")[0].split(" ")[0].split("[")[0].strip()
        if cur and word in env.filters and word not in ("d",):
            cur += "|" + piece
        elif cur.endswith("nothing") and piece.startswith("d("):
            cur += "|" + piece
        else:
            if cur:
                parts.append(cur)
            cur = piece
    parts.append(cur)
    snippets += ["{{ " + p + " }}" for p in parts]

snippets += [
    "a\n", "a\n\n", "a\r\nb\r", "{{ 1 }}\n{{ 2 }}\n", "{% if yes %}\n  x\n{% endif %}\ny", "  {% if yes %}  \n  x {% endif %} \n y",
    "a {% if yes -%}\n\n b \n {%- endif %} c", "a\n   {{- n -}}  \n b", "a\n  {#- c -#}  \nb", "a\n  {# c #}\nb", "a {# c #} b",
    "  {%+ if yes %}x{% endif %}", "{% if yes +%}\nx{% endif %}", "{% if yes %}{% endif %}\n\n  {% if yes %}z{% endif %}\n",
    "x\n\t {% set a = 1 %}\t\n{{ a }}", "{%- set a = 1 -%}\n  {% set b = 2 %}{{ a }}{{ b }}", "{{ '{%' }}{{ '}}' }}", "{{ {'a': {'b': 1}}.a.b }}", "{{ {'a': 1} }}}",
    "{% raw %}\n {{ x }} {% if %}\n{% endraw %}\nz", "a {%- raw -%} {{ x }} {%- endraw -%} b", "  {% raw %} r {% endraw %}  \nq", "{ {% if yes %}{{{% endif %}",
    "{% for x in xs %}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "{% for x in [] %}a{% else %}none{% endfor %}", "{% for x in xs if x > 1 %}{{ loop.index }}:{{ x }} {% else %}no{% endfor %}",
    "{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", "{% for k in d %}{{ k }}{% endfor %}", "{% for c in 'aé' %}{{ c }}.{% endfor %}", "{% for k, v in d | dictsort %}{{ k }}{% endfor %}",
    "{% for x in xs %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a','b') }}{{ loop.depth }}|{% endfor %}",
    "{% for x in [1,1,2] %}{{ loop.changed(x) }}{% endfor %}", "{% for x in xs %}{% for y in xs %}{{ loop.index }}{% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in xs %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}", "{% for x in xs %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for m in ms recursive %}{{ m.role }}{% if m.k %}{{ loop([m.k]) }}{% endif %}{% endfor %}",
    "{% set x = 1 %}{% for i in xs %}{% set x = i %}{% endfor %}{{ x }}", "{% set x = 1 %}{% if yes %}{% set x = 2 %}{% endif %}{{ x }}", "{% set ns = namespace(c=0) %}{% for i in xs %}{% set ns.c = ns.c + i %}{% endfor %}{{ ns.c }}",
    "{% set a, b = 1, 2 %}{{ a }}{{ b }}", "{% set t = 1, %}{{ t }}", "{% set x %}a{{ n }}b{% endset %}[{{ x }}]", "{% set x | upper %}a{{ s }}{% endset %}{{ x }}", "{% set x = 'a' if yes else 'b' %}{{ x }}",
    "{% macro f(a, b=2, c='z') %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ f(1) }}{{ f(1, c=3) }}{{ f(1, 5, 6) }}{{ f() }}", "{% macro f(x) %}{% if x > 0 %}{{ x }}{{ f(x - 1) }}{% endif %}{% endmacro %}{{ f(3) }}",
    "{% macro f() %}<{{ caller() }}>{% endmacro %}{% call f() %}in{% endcall %}", "{% macro f(l) %}{% for x in l %}{{ caller(x) }}{% endfor %}{% endmacro %}{% call(y) f(xs) %}[{{ y }}]{% endcall %}",
    "{% set g = 5 %}{% macro f() %}{{ g }}{% endmacro %}{{ f() }}", "{% filter upper %}a{{ s }}{% endfilter %}", "{% filter replace('a', 'b') | upper %}aac{% endfilter %}",
    "{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}", "{% if n > 5 %}a{% elif n > 2 %}b{% else %}c{% endif %}", "{% if not ms[0].role == 'user' and yes %}A{% else %}B{% endif %}",
    "{% if nosuch %}a{% endif %}b", "{% if nosuch and nosuch.x %}a{% endif %}b", "{% if ms[5] is defined %}a{% endif %}b", "{% if loop is defined %}a{% endif %}b",
    "{{ ms[0].content.strip() + 'x' }}", "{{ (ms | length) - 1 }}", "{{ ms | length - 1 }}", "{{ ms[0]['content'] | trim + 'x' }}", "{{ ms|length > 2 and yes }}", "{{ 'a' ~ 'b' | upper }}", "{{ -1 | abs }}", "{{ not yes | string }}",
    "{{ joiner('|') is callable }}", "{% set j = joiner(', ') %}{% for x in xs %}{{ j() }}{{ x }}{% endfor %}", "{% set c = cycler('a','b') %}{{ c.next() }}{{ c.next() }}{{ c.next() }}",
    # What must be an error.
    "{{ nosuch.x }}", "{{ nosuch['x'] }}", "{{ nosuch() }}", "{{ 'a' + 1 }}", "{{ 'a' + none }}", "{{ nosuch + 'a' }}", "{{ 1 < 'a' }}", "{{ 1 / 0 }}", "{{ 1 % 0 }}", "{{ none | length }}", "{{ xs.append(1) }}", "{{ d.update({}) }}", "{{ d.pop('a') }}",
    "{{ s.zz() }}", "{{ 5 in 5 }}", "{% for x in 5 %}{% endfor %}", "{% for a, b in [1] %}{% endfor %}", "{% set nosuch.x = 1 %}", "{% set d.x = 1 %}", "{{ [1][none] }}", "{{ {[]: 1} }}", "{{ range('a') }}",
    "{{ 1 +", "{{ }}", "{% if %}{% endif %}", "{% if 1 %}", "{% endif %}", "{% for x %}{% endfor %}", "{% nosuchtag %}", "{{ 'a }}", "{{ (1 }}", "{{ 1) }}", "{# a", "{{ a b }}", "{{ 1 | nosuchfilter }}", "{{ 1 is nosuchtest }}", "{{ $ }}", "{% set %}", "{% macro f( %}{% endmacro %}",
]
out = []
for s in snippets:
    try:
        want, error = env.from_string(s).render(**values), ""
    except Exception as e:
        want, error = "", type(e).__name__ + ": " + str(e)
    out.append({"template": s, "want": want, "error": error})
json.dump({"values": values, "snippets": out}, open("snippets.json", "w", encoding="utf-8"), ensure_ascii=False, indent=1)
print(len(out), sum(1 for o in out if o["error"]))
