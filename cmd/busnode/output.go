package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
)

// The formats of --output.
const (
	outputText  = "text"
	outputJSON  = "json"
	outputJSONL = "jsonl"
	outputRaw   = "raw"
)

var resultOutputs = []string{outputText, outputJSON, outputJSONL}

// printResult writes a result: indented as json, on one line as jsonl, else by text,
// at once: a result that a full disk cut short must not pass for one.
func (a *app) printResult(v any, text func(w *bytes.Buffer)) error {
	if a.output == outputText {
		var b bytes.Buffer
		text(&b)
		_, err := a.stdout.Write(b.Bytes())
		return err
	}
	return printJSON(a.stdout, v, a.output)
}

// printList writes a list: as one document, or an item a line, or as a table.
func printList[T any](a *app, items []T, header []string, row func(T) []string) error {
	switch a.output {
	case outputJSON:
		return printJSON(a.stdout, items, a.output)
	case outputJSONL:
		for _, item := range items {
			if err := printJSON(a.stdout, item, a.output); err != nil {
				return err
			}
		}
		return nil
	}
	rows := make([][]string, len(items))
	for i, item := range items {
		rows[i] = row(item)
	}
	return printTable(a.stdout, header, rows)
}

func printJSON(w io.Writer, v any, output string) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if output == outputJSON {
		enc.SetIndent("", "  ")
	}
	return enc.Encode(v)
}

func printTable(w io.Writer, header []string, rows [][]string) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(tw, strings.Join(row, "\t"))
	}
	return tw.Flush()
}

// isTerminal reports whether w is a terminal that can redraw a line.
func (a *app) isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return false
	}
	kind, _ := a.lookupEnv("TERM")
	return kind != "dumb"
}

// colored reports whether w wants colours.
func (a *app) colored(w io.Writer) bool {
	no, ok := a.lookupEnv("NO_COLOR")
	return a.isTerminal(w) && (!ok || no == "")
}

// printable returns text with what would steer a terminal shown as escapes.
func printable(s string) string {
	if strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == unicode.ReplacementChar || unprintable(r):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return r != '\t' && !unicode.IsPrint(r) }
