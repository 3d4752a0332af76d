package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/pflag"
)

// commandLine returns the command line that repeats the simulation, without what
// only says where its result goes.
func commandLine(name string, fs *pflag.FlagSet) string {
	var b strings.Builder
	b.WriteString(name)
	fs.VisitAll(func(flag *pflag.Flag) {
		value, def := flag.Value.String(), flag.DefValue
		if flag.Name == "seed" {
			def = "" // it is worth telling in any case
		}
		switch {
		case value == def || isOutput(flag.Name):
		case flag.Value.Type() == "bool":
			fmt.Fprintf(&b, " --%s", flag.Name)
		default:
			fmt.Fprintf(&b, " --%s %s", flag.Name, quoted(value))
		}
	})
	return b.String()
}

// isOutput reports whether a flag says where a result goes, and not what it is.
func isOutput(flag string) bool {
	return slices.Contains([]string{"output", "config", "report", "plot", "help"}, flag)
}

// quoted returns a value as a shell takes it.
func quoted(s string) string {
	plain := func(c rune) bool {
		return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' ||
			strings.ContainsRune("-_./:,=%+", c)
	}
	if s != "" && strings.IndexFunc(s, func(c rune) bool { return !plain(c) }) < 0 {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
