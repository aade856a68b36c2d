package main

import (
	"fmt"
	"strings"
)

// snippet writes one template text at random.
type snippet struct {
	out strings.Builder
	// The variables that are in scope.
	variables []string
	// How many blocks are open, and whether the dot may be another than the chart's.
	nested, moved int
	defined       []string
	names         int
}

// wrongKind is how often an argument is of another kind than the function asks for, in percent.
const wrongKind = 4

func newSnippet() string {
	s := &snippet{defined: []string{"lib.text", "lib.yaml", "lib.nl"}}
	if r.Intn(2) == 0 {
		// A function's value in one of its forms.
		s.write("{{ " + s.invoke(pick(signatures...), 1+r.Intn(2), false) + pick("", "", " | toJson", " | typeOf", " | toYaml", " | printf \"%#v\"", " | quote") + " }}")
		return s.out.String()
	}
	for range pick(1, 1, 1, 2, 2, 3) {
		s.statement(pick(1, 2, 2, 3))
	}
	text := s.out.String()
	if r.Intn(30) == 0 {
		return damaged(text)
	}
	return text
}

// damaged changes a few bytes where it likely matters.
func damaged(text string) string {
	for range 1 + r.Intn(2) {
		at := r.Intn(len(text) + 1)
		switch r.Intn(3) {
		case 0:
			text = text[:at] + pick("{{", "}}", "(", ")", "|", ".", "$", "\"", "`", ":=", "=", ",", "-", " ", "'", "/*", "*/", "end", "1", "\\", "é", "\x00", "\n", "#", "{{end}}", "{{else}}", "..", "$x") + text[at:]
		case 1:
			if at < len(text) {
				text = text[:at] + text[at+1:]
			}
		default:
			if to := min(len(text), at+r.Intn(8)); r.Intn(2) == 0 {
				text = text[:to] + text[at:]
			} else {
				text = text[:at] + text[to:]
			}
		}
	}
	return text
}

func (s *snippet) write(text string) { s.out.WriteString(text) }

// action writes a delimited action, with trim markers now and then.
func (s *snippet) action(body string) {
	s.write("{{" + pick("", " ", "- ", "- ", " ") + body + pick("", " ", " -", " ", " -") + "}}")
}

func (s *snippet) statement(depth int) {
	if depth == 0 {
		s.leaf()
		return
	}
	switch r.Intn(22) {
	case 0, 1, 2, 3, 4, 5:
		s.leaf()
	case 6, 7:
		s.write(pick("text", "\n", "  ", "a: ", " b\n", "{", "}", "é", "\t\n", "- x\r\n", "}} ", "%"))
	case 8, 9:
		s.conditional(depth)
	case 10, 11:
		s.with(depth)
	case 12, 13, 14:
		s.loop(depth)
	case 15, 16:
		if s.nested > 0 && r.Intn(20) > 0 {
			s.call()
		} else {
			s.define(depth)
		}
	case 17, 18:
		s.declare(depth)
	case 19:
		if len(s.variables) > 0 {
			s.action(pick(s.variables...) + " = " + s.pipeline("any", 2))
		} else {
			s.leaf()
		}
	case 20:
		s.write(pick("{{/* c */}}", "{{- /* c */ -}}", "{{/* a\nb */ -}}", "{{/**/}}", "{{- /**/}}"))
	default:
		s.call()
	}
}

func (s *snippet) leaf() {
	s.action(s.pipeline(pick("any", "any", "s", "any", "b", "num", "l", "d"), 1+r.Intn(3)))
}

// scoped runs a body whose variables end with it.
func (s *snippet) scoped(body func()) {
	count := len(s.variables)
	body()
	s.variables = s.variables[:count]
}

func (s *snippet) body(depth int) {
	s.nested++
	s.scoped(func() {
		for range 1 + r.Intn(2) {
			s.statement(depth - 1)
		}
	})
	s.nested--
}

func (s *snippet) conditional(depth int) {
	s.scoped(func() {
		s.action("if " + s.head())
		s.body(depth)
		for r.Intn(3) == 0 {
			s.action("else if " + s.head())
			s.body(depth)
		}
		if r.Intn(2) == 0 {
			s.action("else")
			s.body(depth)
		}
		s.action("end")
	})
}

// head is the pipeline of an if or with, which may declare a variable.
func (s *snippet) head() string {
	text := s.pipeline("any", 1+r.Intn(2))
	if r.Intn(4) == 0 {
		return s.fresh() + " := " + text
	}
	return text
}

func (s *snippet) fresh() string {
	s.names++
	name := pick("$x", "$y", fmt.Sprintf("$v%d", s.names))
	s.variables = append(s.variables, name)
	return name
}

func (s *snippet) with(depth int) {
	s.scoped(func() {
		s.action("with " + s.head())
		s.moved++
		s.body(depth)
		s.moved--
		if r.Intn(3) == 0 {
			s.action(pick("else with "+s.pipeline("any", 1), "else"))
			s.body(depth)
		}
		s.action("end")
	})
}

func (s *snippet) loop(depth int) {
	s.scoped(func() {
		over := s.pipeline(pick("l", "l", "d", "ls", "li", "ds", "small", "any", "by", "obj"), 1+r.Intn(2))
		switch r.Intn(4) {
		case 0:
			s.action("range " + over)
		case 1:
			s.action("range " + s.fresh() + " := " + over)
		default:
			s.action("range " + s.fresh() + ", " + s.fresh() + " := " + over)
		}
		s.moved++
		s.body(depth)
		if r.Intn(3) == 0 {
			if r.Intn(2) == 0 {
				s.action("if " + s.pipeline("b", 1))
				s.action(pick("break", "continue"))
				s.action("end")
			} else {
				s.action(pick("break", "continue"))
			}
			s.body(depth)
		}
		s.moved--
		if r.Intn(4) == 0 {
			s.action("else")
			s.body(depth)
		}
		s.action("end")
	})
}

func (s *snippet) define(depth int) {
	name := pick("x", "y", "z", "lib.text", "lib.empty")
	variables := s.variables
	s.variables = nil
	if r.Intn(4) == 0 {
		s.action(fmt.Sprintf("block %q %s", name, pick("$", ".", s.term("any", 1))))
	} else {
		s.action(fmt.Sprintf("define %q", name))
	}
	s.body(depth)
	s.action("end")
	s.variables = variables
	s.defined = append(s.defined, name)
	if r.Intn(2) == 0 {
		s.call()
	}
}

func (s *snippet) call() {
	name := pick(append(s.defined, "none")...)
	if r.Intn(2) == 0 {
		s.action(fmt.Sprintf("template %q%s", name, pick("", " .", " $", " $", " "+s.term("any", 1), " "+s.pipeline("any", 1))))
	} else {
		s.action(fmt.Sprintf("include %q %s", name, pick("$", "$", ".", s.term("any", 1))) + pick("", " | indent 2", " | nindent 4", " | trim", " | quote", " | fromYaml"))
	}
}

func (s *snippet) declare(depth int) {
	text := s.pipeline("any", depth)
	s.action(s.fresh() + pick(" := ", ":=", " := ") + text)
}

// pipeline writes commands whose last has a value of the kind.
func (s *snippet) pipeline(kind string, depth int) string {
	text := s.command(kind, depth)
	for r.Intn(4) == 0 {
		text += pick(" | ", "|", " | ") + s.filter()
	}
	return text
}

// filter is a function that takes its last argument from the pipeline.
func (s *snippet) filter() string {
	switch r.Intn(8) {
	case 0:
		return pick("len", "first", "last", "indent 2", "upper", "trim", "b64enc", "sortAlpha", "toToml", "nindent 2", "trunc 5", "keys | sortAlpha", "fromYaml", "reverse", "uniq", "get \"a\"", "splitList \",\"")
	case 1:
	default:
		return pick("toYaml", "toJson", "quote", "toString", "typeOf", "kindOf", "squote", "int", "int64", "float64", "printf \"%v\"", "printf \"%#v\"", "printf \"%+v\"", "default \"d\"", "join \",\"", "toPrettyJson", "toRawJson", "not", "empty", "toYamlPretty", "deepCopy", "html", "js", "print", "cat \"x\"", "toStrings", "list", "coalesce 1", "ternary 1 2", "urlquery", "println", "eq 1", "and true", "or nil")
	}
	one := pick(signatures...)
	return s.invoke(one, 1, true)
}

// command writes one command: a call or a term.
func (s *snippet) command(kind string, depth int) string {
	if depth > 0 && r.Intn(4) > 0 {
		return s.invoke(s.signature(kind), depth-1, false)
	}
	return s.term(kind, 0)
}

func (s *snippet) signature(kind string) signature {
	if found := byResult[kind]; len(found) > 0 && r.Intn(3) > 0 {
		return pick(found...)
	}
	return pick(signatures...)
}

func (s *snippet) invoke(one signature, depth int, piped bool) string {
	words := []string{one.name}
	args := one.args
	if piped && len(args) > 0 && !strings.HasPrefix(args[len(args)-1], "*") {
		args = args[:len(args)-1]
	}
	for _, kind := range args {
		count := 1
		if rest, ok := strings.CutPrefix(kind, "*"); ok {
			kind, count = rest, r.Intn(4)
		}
		for range count {
			words = append(words, s.term(kind, depth))
		}
	}
	// Too few or too many arguments are rare.
	switch r.Intn(80) {
	case 0:
		words = append(words, s.term("any", 0))
	case 1:
		if len(words) > 1 {
			words = words[:len(words)-1]
		}
	}
	return strings.Join(words, " ")
}

// term writes an operand: an atom, a variable, the dot, or a call in parentheses.
func (s *snippet) term(kind string, depth int) string {
	if r.Intn(100) < wrongKind {
		kind = "wrong"
	}
	if options, ok := mixed[kind]; ok {
		kind = pick(options...)
	}
	switch choice := r.Intn(16); {
	case choice == 0 && len(s.variables) > 0:
		return pick(s.variables...) + pick("", "", "", ".a", ".name")
	case choice == 1:
		return pick(".", ".", "$.Values", ".a", "$", ".name")
	case choice < 7 && depth > 0:
		call := "(" + s.command(kind, depth) + ")"
		if r.Intn(12) == 0 {
			call += pick(".a", ".Name", ".a.b", ".Major", ".Year", ".String")
		}
		return call
	case choice == 7 && kind == "t":
		return s.moment()
	}
	if found := atoms[kind]; len(found) > 0 {
		return s.rooted(pick(found...))
	}
	return "(" + s.command(kind, 1) + ")"
}

// moment calls a method of a time.
func (s *snippet) moment() string {
	return "(" + s.rooted(pick(atoms["t"]...)) + ")." + pick("Year", "Unix", "Weekday", "YearDay", "Month", "Hour", "Nanosecond", "IsZero", "UTC", "String", "Minute", "Day", "Date", "Zone", "UnixNano", "Location")
}

// rooted writes a term of the chart's so that it is found where the dot is another.
func (s *snippet) rooted(term string) string {
	if s.moved == 0 || r.Intn(30) == 0 {
		return term
	}
	for _, name := range []string{".Values", ".Release", ".Chart", ".Template", ".Capabilities", ".Files", ".Subcharts"} {
		term = strings.ReplaceAll(term, "$"+name, name)
		term = strings.ReplaceAll(term, name, "$"+name)
	}
	return term
}
