package main

import "strings"

// calls names every function with the kinds of its arguments and of its result: `name arg... > result`. A `*` before the
// last kind stands for any number of them. Kinds are the keys of atoms.
const calls = `
abbrev i s > s
abbrevboth i i s > s
trunc i s > s
trim s > s
upper s > s
lower s > s
title s > s
untitle s > s
substr i i s > s
repeat small s > s
trimall s s > s
trimAll s s > s
trimSuffix s s > s
trimPrefix s s > s
nospace s > s
initials s > s
swapcase s > s
snakecase s > s
camelcase s > s
kebabcase s > s
wrap i s > s
wrapWith i s s > s
contains s s > b
hasPrefix s s > b
hasSuffix s s > b
quote *any > s
squote *any > s
cat *any > s
indent small s > s
nindent small s > s
replace s s s > s
plural s s i > s
toString any > s
toStrings l > ls
join s l > s
sortAlpha l > ls
split s s > ds
splitn s i s > ds
splitList s s > ls
sha1sum s > s
sha256sum s > s
sha512sum s > s
adler32sum s > s
atoi num > i
int num > i
int64 num > i64
float64 num > f
toDecimal num > i64
seq *small > s
until small > li
untilStep small small step > li
add *num > i64
add1 num > i64
sub num num > i64
div num num > i64
mod num num > i64
mul num *num > i64
addf num *num > f
add1f num > f
subf num *num > f
mulf num *num > f
divf num *num > f
max num *num > i64
biggest num *num > i64
min num *num > i64
maxf num *num > f
minf num *num > f
ceil num > f
floor num > f
round num i > f
randInt i i > i
default any any > any
empty any > b
coalesce *any > any
all *any > b
any *any > b
compact l > l
mustCompact l > l
ternary any any b > any
deepCopy any > any
mustDeepCopy any > any
toPrettyJson any > s
mustToPrettyJson any > s
toRawJson any > s
mustToRawJson any > s
toJson any > s
mustToJson any > s
fromJson json > any
mustFromJson json > any
fromJsonArray json > l
toYaml any > s
mustToYaml any > s
toYamlPretty any > s
fromYaml yaml > d
fromYamlArray yaml > l
toToml any > s
mustToToml any > s
fromToml toml > d
typeOf any > s
typeIs type any > b
typeIsLike type any > b
kindOf any > s
kindIs kind any > b
deepEqual any any > b
list *any > l
tuple *any > l
append l any > l
push l any > l
prepend l any > l
mustAppend l any > l
mustPush l any > l
mustPrepend l any > l
first l > any
mustFirst l > any
rest l > l
mustRest l > l
last l > any
mustLast l > any
initial l > l
mustInitial l > l
reverse l > l
mustReverse l > l
uniq l > l
mustUniq l > l
without l *any > l
mustWithout l *any > l
has any l > b
mustHas any l > b
slice l *i > l
mustSlice l *i > l
concat *l > l
chunk i l > l
mustChunk i l > l
dict *pair > d
get d key > any
set d key any > d
unset d key > d
hasKey d key > b
pluck key *d > l
keys d1 > ls
values d1 > l
pick d *key > d
omit d *key > d
merge d *d > d
mustMerge d *d > d
mergeOverwrite d *d > d
mustMergeOverwrite d *d > d
dig key any d > any
dig key key any d > any
base path > s
dir path > s
clean path > s
ext path > s
isAbs path > b
osBase path > s
osClean path > s
osDir path > s
osExt path > s
osIsAbs path > b
urlParse url > d
urlJoin d > s
b64enc s > s
b64dec b64 > s
b32enc s > s
b32dec b32 > s
semver ver > sv
semverCompare con ver > b
regexMatch re s > b
mustRegexMatch re s > b
regexFindAll re s i > ls
mustRegexFindAll re s i > ls
regexFind re s > s
mustRegexFind re s > s
regexReplaceAll re s repl > s
mustRegexReplaceAll re s repl > s
regexReplaceAllLiteral re s repl > s
mustRegexReplaceAllLiteral re s repl > s
regexSplit re s i > ls
mustRegexSplit re s i > ls
regexQuoteMeta re > s
now > t
date layout t > s
dateInZone layout t zone > s
date_in_zone layout t zone > s
dateModify dur t > t
date_modify dur t > t
mustDateModify dur t > t
must_date_modify dur t > t
toDate layout date > t
mustToDate layout date > t
htmlDate t > s
htmlDateInZone t zone > s
ago t > s
duration num > s
durationRound num > s
unixEpoch t > s
mustToDuration durv > du
durationSeconds durv > f
durationMilliseconds durv > i64
durationMicroseconds durv > i64
durationNanoseconds durv > i64
durationMinutes durv > f
durationHours durv > f
durationDays durv > f
durationWeeks durv > f
durationRoundTo durv durv > du
durationTruncateTo durv durv > du
randAlphaNum small > s
randAlpha small > s
randAscii small > s
randNumeric small > s
randBytes small > s
uuidv4 > s
shuffle s > s
htpasswd s s > s
derivePassword i tmpl s s s > s
encryptAES s s > s
decryptAES s b64 > s
buildCustomCert b64 b64 > cert
genSignedCert s l l i cert > cert
genCAWithKey s i pem > cert
genSelfSignedCertWithKey s l l i pem > cert
genSignedCertWithKey s l l i cert pem > cert
hello > s
required s any > any
fail s > never
lookup s s s s > d
getHostByName s > s
include inc any > s
tpl tpl any > s
and any *any > any
or any *any > any
not any > b
len any > i
index any *any > any
index l i > any
index d key > any
print *any > s
printf fmt *any > s
println *any > s
html *any > s
js *any > s
urlquery *any > s
call any *any > never
eq any *any > b
ne any any > b
eq s *s > b
eq num *num > b
ne num num > b
lt num num > b
le num num > b
gt num num > b
ge s s > b
`

// signature is one line of calls.
type signature struct {
	name   string
	args   []string
	result string
}

var signatures, byResult = readCalls()

func readCalls() ([]signature, map[string][]signature) {
	var all []signature
	by := map[string][]signature{}
	for _, line := range strings.Split(strings.TrimSpace(calls), "\n") {
		words := strings.Fields(line)
		one := signature{name: words[0], args: words[1 : len(words)-2], result: words[len(words)-1]}
		all = append(all, one)
		by[one.result] = append(by[one.result], one)
	}
	return all, by
}

// atoms are terms of a kind as they stand in a template.
var atoms = map[string][]string{
	"s": {
		`""`, `"a"`, `"hello"`, `"Hello World"`, `"a,b,,c"`, `"a b  c"`, `"1"`, `"010"`, `"0x1F"`, `"1.9"`, `"-5"`, `"1e3"`, `"true"`, `"no"`, `"null"`, `"~"`, `"héllo wörld"`, `"日本語"`,
		`"😀x"`, `"\xff\xfe"`, `"\x00"`, `"a\tb"`, `"line1\nline2\n"`, `"\n"`, `" lead"`, `"trail "`, `"a: b"`, `"- x"`, `"#c"`, `"<a href='x'>&"`, `"don't"`, `"say \"x\""`, `"\\d"`, `"<no value>"`,
		"`raw \\n`", `"fooBarBaz"`, `"foo_bar-baz qux"`, `"HTTPServer2"`, `"10.0.0.1"`, `"x86_64"`, `"1_000"`, `"0b11"`, `"0o17"`, `"12:30:45"`, `"2024-02-29"`, `"2024-02-29T12:34:56Z"`, `"=x"`, `"@x"`, `"%d"`,
		`.Values.str`, `.Values.uni`, `.Values.multi`, `.Values.emptystr`, `.Values.yy.s`, `.Values.yy.long`, `.Release.Name`, `.Release.Namespace`, `.Release.Service`, `.Chart.Name`, `.Chart.Version`, `.Chart.AppVersion`,
		`.Template.Name`, `.Template.BasePath`, `.Capabilities.KubeVersion.Version`, `(.Files.Get "files/a.txt")`, `(.Files.Get "files/lines.txt")`, `(.Files.Get "files/bin.dat")`, `.Values.date`, `(.Values.nested | toString)`,
		`"a long line of words that goes on and on so that it is folded when it is written, for it has more than eighty letters: yes"`, `"trail \n\nlines  \n"`, `"  lead\nthen\n"`, `"\n\nx"`, `"a\u2028b\u0085c"`, `"\ufeffx"`, `"key: v # c"`, `"x #"`, `"? y"`, `"!tag"`, `"&a"`, `"*b"`, `"{{ . }}"`, `"0.10"`, `"+1"`, `".5"`, `"1:30"`, `"0o7"`, `"1e"`, `"-"`, `"---"`, `"..."`, `"---\na"`, `"a:"`, `":a"`, `"a\r\nb"`, `"\u200bzero"`, `"É È"`, `"ǅ ß ŉ İ"`, `"[x]"`, `"x,y"`, `"'"`, `"\""`, `"%"`, `"\x7f\x1b"`, `"=" `, `"<<"`, `"y"`, `"Off"`, `"NaN"`, `".inf"`, `"0x"`, `"2001-12-14t21:59:43.10-05:00"`,
	},
	"i":     {`0`, `1`, `2`, `3`, `5`, `7`, `10`, `-1`, `-3`, `100`, `0x10`, `'a'`, `1e2`, `010`, `(int .Values.i)`, `(len .Values.list)`, `.Release.Revision`, `1_000`, `(int 80)`},
	"small": {`0`, `1`, `2`, `3`, `4`, `8`, `12`, `-1`, `(int 3)`, `(len "ab")`},
	"step":  {`1`, `2`, `3`, `-1`, `5`, `0`},
	"i64":   {`(int64 3)`, `(int64 "7")`, `(add 1 2)`, `(mul 2 3)`, `(int64 -1)`, `(int64 9223372036854775807)`},
	"f":     {`1.5`, `0.1`, `2.0`, `-2.5`, `1e6`, `1e21`, `1e-7`, `123456789.0`, `.Values.f`, `.Values.i`, `.Values.big`, `.Values.tiny`, `.Values.huge`, `.Values.neg`, `.Values.zero`, `.Values.big64`, `.Values.yy.e`, `(float64 "1.25")`, `0x1p-2`, `1e308`},
	"b":     {`true`, `false`, `.Values.t`, `.Values.fa`, `.Release.IsInstall`, `(eq 1 1)`, `.Chart.IsRoot`},
	"nil":   {`nil`, `.Values.missing`, `.Values.yy.nil`, `(index .Values.mixed 3)`, `(get (dict) "x")`, `$.Values.nothing`},
	"l": {
		`(list)`, `(list 1 2 3)`, `(list "b" "a" "c" "a")`, `(list 1 "a" nil true 2.5)`, `(list (list 1 2) (list "x"))`, `(list (dict "a" 1) (dict "a" 2))`, `.Values.list`, `.Values.intlist`, `.Values.mixed`, `.Values.lm`,
		`.Values.emptylist`, `.Values.yy.l`, `.Values.nested.l`, `(tuple 0 "" nil false)`, `(list "a" "" nil "b")`, `(list 0.5 1 "1" (int64 1))`, `(list (list))`,
	},
	"ls":   {`(splitList "," "c,a,b")`, `(list "x" "y" | toStrings)`, `(.Files.Lines "files/lines.txt")`, `(splitList "" "abc")`, `(regexFindAll "[a-c]" "abcd" -1)`},
	"li":   {`(until 3)`, `(untilStep 0 10 3)`, `(until 0)`},
	"d":    {`(dict)`, `(dict "a" 1)`, `(dict "a" 1 "b" "x" "c" (list 1))`, `(dict "a" (dict "b" (dict "c" 1)))`, `(dict "a" nil "b" false "c" "")`, `.Values`, `.Values.nested`, `.Values.yy`, `.Values.yy.m`, `.Values.emptymap`, `.Values.deep`, `.Values.global`, `(dict "a" 2 "d" (dict "e" (list)))`, `(dict 1 2)`, `(dict "x")`, `.Chart`, `(index .Values.lm 0)`, `(dict "k10" 1 "k2" 2 "k1" 3)`},
	"d1":   {`(dict "a" 1)`, `(dict)`, `.Values.deep`, `.Values.global`, `(dict "k" (list 1 2))`},
	"ds":   {`(split "," "a,b")`, `(splitn "." 2 "x.y.z")`},
	"key":  {`"a"`, `"b"`, `"c"`, `"x"`, `"e"`, `"l"`, `"k10"`, `"name"`, `""`, `"a.b"`, `"str"`},
	"pair": {`"a" 1`, `"b" "x"`, `"c" nil`, `"d" (list 1 2)`, `"e" (dict "f" 1)`, `"a" 2.5`, `"é" true`, `1 2`, `true "t"`, `"k9" (int64 5)`, `"z"`, `"text" "l1\nl2"`},
	"json": {`"{\"a\":1,\"b\":[true,null,\"x\"]}"`, `"[1,2.5,\"x\"]"`, `"{"`, `""`, `"null"`, `"1e3"`, "`{\"a\":{\"b\":\"\\u00e9\"}}`", `"{\"a\":1}{"`, `"nul"`, `"{\"a\" 1}"`, `"[1,]"`, `"12345678901234567890"`, "`\"\\ud800\"`", `"tru"`, "`{\"a\":01}`", `"\"x"`},
	"yaml": {
		`"a: 1"`, `"a: [1, {b: c}]\nd: |\n  x\n  y\n"`, `"- 1\n- x\n"`, `"yes: no"`, `"a: 010\nb: 0x1F\nc: 1_000\nd: 1e3\ne: .5\nf: ~\ng: 12:30:45"`, `"&a x: *a"`, `"a: &r {k: 1}\nb:\n  <<: *r\n  l: 2"`, `"a: b: c"`, `"\ta: 1"`, `"a: 1\na: 2"`,
		`"x"`, `""`, `"a: \"\\u00e9\\n\""`, `"a: 'it''s'"`, `"? a\n: b"`, `"a: >-\n  folded\n  text\n\n  more\n"`, `"a: !!str 1\nb: !!int \"2\""`, `"--- a\n--- b"`, `"a: *x"`, `"{a: 1"`, `"a: 2024-02-29\nb: 2024-02-29T01:02:03Z"`, `"1: x\n2.5: y\ntrue: z\nnull: n"`, `"a: .inf\n"`, `"a: @x"`, `"a: %x"`, `"# only"`, `"a: 0o17\nb: 0b11\nc: -0\nd: +1\ne: 1.\nf: 0.1e-5"`, `(toYaml .Values.nested)`, `"[a, b"`, `"a:\n- b\n c: d"`, `"a: 'x"`,
		`"a: |2\n   x\n  y\n"`, `"a: |+\n  x\n\n"`, `"a: >2-\n    x\n  y\n   z\n"`, `"a: [x,\n  y, ]\nb: {c, d: }"`, `"- &x {a: 1}\n- *x\n- <<: [*x, {b: 2}]"`, `"- - 1\n  - 2\n-\n  - 3\n- ? k\n  : v"`, `"%YAML 1.1\n---\na: 1\n...\n"`, `"a: !!binary aGk=\nb: !!float 1\nc: !!null x\nd: !!bool yes"`, `"a: \"x\\\n  y\\x41\\u263a\\_\""`, `"a: 'x\n\n  y'"`, `"a: x\n  y\n\n  z # c\nb: -"`, `"a: 1_000.5\nb: 0x_1\nc: 190:20:30\nd: 0b1_0\ne: 1e+3\nf: -.INF\ng: .NaN\nh: 00"`, `"a: - b"`, `"a : 1\n\"b\":2"`, `"a: {b: [c, {d: e}]}\n- f"`, `"!x a: !y b"`, `"a:\n  b\n c"`, `"\ufeffa: 1"`, `"a: \x01"`, `"a: !!set {x, y}"`, `"a: !!omap [x: 1]"`, `"<<: {a: 1}\na: 2"`, `"<<: x"`, `"~: 1\n? [a]\n: b"`, `"a: =\nb: !!str =\nc: ! x"`, `"a:\t1"`, `"a: 1 #x\n#y\n  #z\nb: 2#w"`, `"{a: 1}x"`, `"a: \"b\" c"`, `"0: a\n-1: b\n1.0: c\n1e2: d\n0x1: e"`,
	},
	"toml":   {`"a = 1"`, `"a = \"x\"\n[t]\nb = [1, 2]\n"`, `"[[x]]\nk = 1\n[[x]]\nk = 2"`, `"a = 1979-05-27T07:32:00Z"`, `"a ="`, `"= 1"`, `"a = 1\na = 2"`, `"a = 0x1F\nb = 1e3\nc = inf"`, `"a.b.c = true"`, `"a = 'x"`, `""`, `"a = {b = 1}"`, `"a = [1, 'x']"`, `"[a]\n[a]"`, `"a = \"\"\"x\\\n  y\"\"\""`, `"a = 07:32:00\nb = 1979-05-27\nc = 1979-05-27T00:32:00.5"`, `"a = 0b101\nb = 0o17\nc = 1_000\nd = -0.0\ne = nan"`, `"a.b = 1\n[a]\nc = 2"`, `"[[a]]\n[a.b]\nc = 1\n[[a.d]]"`, `"'q k' = 1\n\"\\u00e9\" = 2"`, `"a = [[1], [\"x\", 2.5], {b = {c = 1}}]"`, `"a = \"\\x\""`, `"a = 1 b = 2"`, `"a = 01"`, `"a = 1__0"`, `"[a.b]\n[a]\nb = 1"`, `"a = {b = 1, }"`, `"a = \"x\ny\""`},
	"type":   {`"string"`, `"int"`, `"float64"`, `"map[string]interface {}"`, `"*semver.Version"`, `"[]interface {}"`, `"bool"`, `"time.Time"`, `"common.Values"`},
	"kind":   {`"string"`, `"int"`, `"map"`, `"slice"`, `"invalid"`, `"struct"`, `"ptr"`, `"bool"`, `"float64"`},
	"path":   {`"/a/b/../c.txt"`, `"a/b"`, `""`, `"/"`, `"."`, `"a/./b//c/"`, `"../x.tar.gz"`, `".hidden"`, `"a.b/c"`},
	"url":    {`"https://u:p@h.example:8080/p/a?q=1&r=%20#frag"`, `"http://h"`, `"/p?x"`, `"mailto:a@b"`, `""`, `"http://[::1]:80/"`, `"://x"`, `"http://a b/"`, `"%zz"`, `"//h/p"`, `"http://h:x/"`, `"h:80/p"`, `"http://h/a%2Fb?x=%zz#f%20g"`, `"http://u@h"`, `"http://h?"`, `"http://h#"`, `"file:///a b"`, `"HTTP://H/../x/./y"`, `"http://é.x/ü?ö"`, `"x:y:z"`, `"http://[fe80::1%25en0]/"`, `"http://h\\p"`, `"?q"`, `"#f"`, `"1http://h"`},
	"b64":    {`"aGVsbG8="`, `"aGVsbG8"`, `"!"`, `""`, `(b64enc "x")`, `(b64enc .Values.pem.cert)`, `(b64enc .Values.pem.rsa)`, `(b64enc .Values.pem.ec)`, `"aGVs\nbG8="`},
	"b32":    {`"NBSWY3DP"`, `"nbswy3dp"`, `""`, `"A"`, `(b32enc "xyz")`},
	"ver":    {`"1.2.3"`, `"v1.2"`, `"1"`, `"1.2.3-rc.1+b.5"`, `""`, `"x"`, `"01.2.3"`, `"1.2.3.4"`, `.Capabilities.KubeVersion.Version`, `.Chart.Version`, `"2.0.0-alpha"`, `(semver "1.2.3")`},
	"con":    {`">=1.2"`, `"^1.2.3"`, `"~1"`, `"1.x"`, `"*"`, `">=1 <2 || 3"`, `"1 - 2"`, `"!=1.2.3"`, `""`, `">1.19-0"`, `"=>1,<3"`, `"bad"`, `"> 1.2.3-rc"`, `"~>1.2"`, `"^0.0.3"`, `"^0.2"`, `"~1.2.3-beta.2"`, `"1.2.x || >=2.5.0 || 5.0.0 - 7.2.3"`, `">= 1.2, != 1.4"`, `"1.2 - 1.4.5 <2"`, `"v1.2.3"`, `"=1"`, `"==1"`, `">x"`, `"~1.x.2"`, `"^x"`, `">1.2.3+b"`, `"<1.2.3-0"`, `"||"`, `"1||"`, `","`, `">= 01.2"`, `"99999999999999999999"`},
	"re":     {`"a(x*)b"`, `"[a-c]+"`, `""`, `"^"`, `"("`, `"\\d+"`, `"[\\w-.]+"`, `"(?i)HELLO"`, `"a{2,1}"`, `"(?P<n>l+)"`, `"\\bw"`, `"."`, `"x*"`, `"[[:alpha:]]"`, `"\\pL+"`, `"a{1001}"`, `"(?s).$"`, `"[^a]"`, `"l|o"`, `"\\Q.\\E"`, `"*"`, `"(?<n>e)"`, `"\\"`, `"[z-a]"`, `"a**"`, `"\\z"`, `"(?U)l+"`, `"(?m)^.$"`, `"(?i-s:H.)(?:x)?"`, `"[^\\pL\\s]+"`, `"\\x{e9}|\\351"`, `"(l)(l)?|(z)"`, `"[[:^digit:]]{2,3}?"`, `"\\C"`, `"\\8"`, `"(?=x)"`, `"(?P<n>a)(?P<n>b)"`, `"[\\d-z]"`, `"[]a]"`, `"[^]a]"`, `"x{,2}"`, `"x{2,}"`, `"(|a)*"`, `"(?i)ß|ſ|K"`, `"\\p{Greek}"`, `"\\pX"`, `"^$"`, `"\\A.|.\\B"`, `")"`, `"[a"`, `"(?z)"`, `"\\Qa.b"`},
	"repl":   {`"${1}W"`, `"$1W"`, `"x"`, `""`, `"$0"`, `"${n}"`, `"$$"`, `"$"`, `"${"`, `"\\1"`, `"$1$2"`, `"${1}${3}x"`, `"$n!"`, `"$é"`, `"${1"`, `"$10"`},
	"layout": {`"2006-01-02"`, `"2006-01-02T15:04:05Z07:00"`, `"Mon Jan _2 15:04:05.000 MST 2006"`, `"02 Jan 06 3:04PM -0700"`, `""`, `"x"`, `"15h04m05s"`, `"January 2, 2006 002"`, `"20060102150405.999999"`, `"2/1/06 15:4:5 pm"`, `"Monday, 02-Jan-06 __2 MST"`, `"2006-01-02T15:04:05,000Z0700"`, `".000 .999 ,99"`, `"Z07 -07:00:00 Z070000 -070000"`, `"Jan _2 05.00"`, `"002 1504"`, `"Mond Janua 2006x6"`},
	"date":   {`"2024-02-29"`, `"2024-02-29T12:34:56Z"`, `"Thu Feb 29 12:34:56.000 UTC 2024"`, `"x"`, `""`, `"2024-13-01"`, `"2024-02-29T12:34:56+02:00"`, `"20240229123456.5"`, `"29 Feb 24 1:02PM -0700"`, `"2024-02-30"`, `"2024-02-29T24:00:00Z"`, `"2024-02-29T12:34:56.123456789Z"`, `"2024-02-29 "`, `"0000-01-01"`, `"February 29, 2024 060"`, `"2024-060"`},
	"zone":   {`"UTC"`, `"Europe/Berlin"`, `"America/New_York"`, `""`, `"Local"`, `"Nowhere/X"`, `"Asia/Kolkata"`, `"Etc/GMT+5"`, `"EST"`},
	"t":      {`(toDate "2006-01-02" "2024-02-29")`, `(toDate "2006-01-02T15:04:05Z07:00" "2024-07-01T12:34:56+02:00")`, `(toDate "2006-01-02" "x")`, `(mustToDate "2006-01-02" "1969-12-31")`, `(dateModify "36h" (toDate "2006-01-02" "2024-02-29"))`, `(int64 1700000000)`, `(int 86400)`, `(now)`},
	"dur":    {`"1h30m"`, `"-1.5h"`, `"90s"`, `"1d"`, `""`, `"x"`, `"1ms2us3ns"`, `"+5m"`, `"100000h"`},
	"durv":   {`"1h30m"`, `"90"`, `95`, `1.5`, `"-2m"`, `"x"`, `(int64 7)`, `(mustToDuration "1h1m1s")`, `""`, `"1.5"`, `"24h"`, `nil`, `.Values.i`, `"1e3"`},
	"du":     {`(mustToDuration "1h30m")`, `(mustToDuration 5)`, `(durationRoundTo "1h29m" "1h")`},
	"tmpl":   {`"long"`, `"maximum"`, `"medium"`, `"short"`, `"basic"`, `"pin"`, `"x"`},
	"sv":     {`(semver "1.2.3")`, `(semver "v2.0.0-rc.1+b.2")`, `(semver "1")`},
	"pem":    {`.Values.pem.rsa`, `.Values.pem.ec`, `.Values.pem.cert`, `"x"`},
	"cert":   {`(buildCustomCert (b64enc .Values.pem.cert) (b64enc .Values.pem.rsa))`, `(dict "Cert" "x" "Key" "y")`},
	"by":     {`(.Files.GetBytes "files/a.txt")`, `(.Files.GetBytes "files/none")`, `(.Files.GetBytes "files/bin.dat")`},
	"obj":    {`.Capabilities.KubeVersion`, `.Capabilities.APIVersions`, `.Capabilities.HelmVersion.Version`, `.Files`, `(.Files.Glob "files/sub/*")`, `.Release`, `.Template`, `.Capabilities`, `.Subcharts.sub`, `(.Files.Glob "files/*.none")`},
	"inc":    {`"x"`, `"y"`, `"lib.text"`, `"lib.empty"`, `"lib.nl"`, `"lib.yaml"`, `"sub.helper"`, `"none"`, `"v/templates/_lib.tpl"`, `(print "lib" ".text")`},
	"tpl": {
		`"{{ .Values.str }}"`, `"plain"`, `"{{ . }}"`, `.Values.tplstr`, `"{{ .x }"`, `"{{ include \"lib.text\" . }}"`, `"{{ define \"in\" }}I{{ end }}{{ include \"in\" . }}"`, `"{{ fail \"f\" }}"`, `"{{ $ }}"`, `"{{ nope }}"`, `"{{ .a.b.c }}"`, `"{{ range . }}{{ . }},{{ end }}"`, `"{{ tpl \"{{ 1 }}\" . }}"`, "`{{ required \"need x\" .x }}`", `"{{ template \"none\" }}"`, `"{{ template \"x\" . }}"`, `""`,
	},
	"fmt": {
		`"%v"`, `"%d"`, `"%s"`, `"%q"`, `"%5.2f"`, `"%x"`, `"%t"`, `"%T"`, `"%+v"`, `"%#v"`, `"%-8s|"`, `"%08d"`, `"%+d"`, `"% d"`, `"%c"`, `"%U"`, `"%e"`, `"%g"`, `"%b"`, `"%o"`, `"%O"`, `"%#x"`, `"%X"`, `"%%"`, `"%"`, `"%z"`, `"%[2]v %[1]v"`, `"%*d"`, `"%.*f"`, `"%.3s"`, `"%6.2f%%"`, `"%s-%s"`, `"%v %v %v"`, `"%#q"`, `"%+q"`, `"%x %X"`, `"% x"`, `"%#o"`, `"%#U"`, `"%p"`, `"%w"`, `"%!"`, `"%[3]d"`, `"%[x]d"`, `"%-010d|"`, `"%+.3e"`, `"%G"`, `"%#g"`, `"%E"`, `"%010.3f"`, `"%+s"`, `"%#b"`, `"%.0f"`, `"%5t"`, `"%05s"`, `"%-5d|"`, `"%5q"`, `"%5v|%-5v|"`, `"%.2v"`, `"%#5x"`, `"é%v日"`, `"%d%d"`,
	},
}

// mixed are kinds that stand for one of others.
var mixed = map[string][]string{
	"num":   {"i", "i", "i", "f", "f", "i64", "small", "small", "s", "b", "nil", "durv"},
	"any":   {"s", "s", "i", "f", "b", "nil", "l", "d", "ls", "li", "i64", "t", "sv", "by", "obj", "ds", "du", "d", "l", "s"},
	"wrong": {"s", "i", "f", "b", "nil", "l", "d", "ls", "i64", "t", "sv", "by", "obj", "ds", "du"},
}
