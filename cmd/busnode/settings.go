package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// settle gives every flag that the command line leaves open its value from the
// environment, else from the configuration file, else its default.
func (a *app) settle(cmd *cobra.Command) error {
	given := map[string]bool{}
	cmd.Flags().Visit(func(f *pflag.Flag) { given[f.Name] = true })
	if err := a.fromEnvironment(cmd, given); err != nil {
		return err
	}
	if a.config == "" {
		return nil
	}
	file, err := readConfig(a.config)
	if err != nil {
		return err
	}
	return fromFile(cmd, a.config, file, given)
}

// variable returns the name of a flag's variable.
func variable(flag string) string {
	return "BUSNODE_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

// fromEnvironment sets flags that are not in given, and adds them to it. An
// empty variable counts as none.
func (a *app) fromEnvironment(cmd *cobra.Command, given map[string]bool) error {
	var failed error
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		text, ok := a.lookupEnv(variable(f.Name))
		if !ok || text == "" || given[f.Name] || f.Name == "help" || failed != nil {
			return
		}
		if list, ok := f.Value.(pflag.SliceValue); ok {
			failed = list.Replace(strings.Split(text, separator(f.Name)))
		} else {
			failed = f.Value.Set(text)
		}
		if failed != nil {
			failed = usagef("%s=%s: %v", variable(f.Name), text, valueError(f, failed))
		}
		given[f.Name] = true
	})
	return failed
}

// separator is what stands between the values of a list in a variable. Header
// values may hold commas.
func separator(flag string) string {
	if flag == "header" {
		return "\n"
	}
	return ","
}

func readConfig(path string) (map[string]any, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("--config: %w", err)
	}
	var file map[string]any
	if err := toml.Unmarshal(b, &file); err != nil {
		return nil, usagef("--config %s: %v", path, err)
	}
	return file, nil
}

// fromFile sets flags that are not in given. One file serves a node and the
// commands beside it: keys that only run has are left to run, and all others
// that are not the command's own are refused.
func fromFile(cmd *cobra.Command, path string, file map[string]any, given map[string]bool) error {
	run, _, err := cmd.Root().Find([]string{"run"})
	if err != nil {
		return err
	}
	for key, value := range file {
		f := cmd.Flags().Lookup(key)
		if key == "config" || key == "help" || (f == nil && run.Flags().Lookup(key) == nil) {
			return usagef("--config %s: unknown key %q", path, key)
		}
		if f == nil || given[key] {
			continue
		}
		if err := setFromFile(f, value); err != nil {
			return usagef("--config %s: %s: %v", path, key, err)
		}
	}
	return nil
}

func setFromFile(f *pflag.Flag, value any) error {
	values, isList := value.([]any)
	if !isList {
		values = []any{value}
	}
	texts := make([]string, len(values))
	for i, v := range values {
		switch v.(type) {
		case string, int64, float64, bool:
			texts[i] = fmt.Sprint(v)
		default:
			return fmt.Errorf("a %T cannot be a setting", v)
		}
	}
	if list, ok := f.Value.(pflag.SliceValue); ok {
		return list.Replace(texts)
	}
	if isList {
		return fmt.Errorf("one value wanted, not a list")
	}
	return valueError(f, f.Value.Set(texts[0]))
}

// flagError tells of a mistake on the command line.
func flagError(_ *cobra.Command, err error) error {
	if e, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return usagef("--%s %s: %v", e.GetFlag().Name, printable(e.GetValue()), valueError(e.GetFlag(), e.Unwrap()))
	}
	return usagef("%v", err)
}

// valueError says what a flag takes where the parser of its value says what it was doing.
func valueError(f *pflag.Flag, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, strconv.ErrRange):
		return errors.New("that is beyond what can be counted")
	}
	switch f.Value.Type() {
	case "int":
		return errors.New("write a whole number")
	case "uint64":
		return errors.New("write a whole number, 0 or more")
	case "duration":
		return errors.New("write 300ms or 1h")
	case "bool":
		return errors.New("write true or false")
	}
	return err
}

// defaultDataDir is where a node keeps its data without --data.
func defaultDataDir(lookupEnv func(string) (string, bool)) string {
	if dir, ok := lookupEnv("XDG_DATA_HOME"); ok && filepath.IsAbs(dir) {
		return filepath.Join(dir, "busnode")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // need reports it, if the directory is wanted at all
	}
	return filepath.Join(home, ".local", "share", "busnode")
}

// choice is a flag's value that is one of a few words.
type choice struct {
	value *string
	of    []string
}

// Set implements [pflag.Value].
func (c choice) Set(s string) error {
	if !slices.Contains(c.of, s) {
		return fmt.Errorf("%q is none of %s", s, strings.Join(c.of, ", "))
	}
	*c.value = s
	return nil
}

// String implements [pflag.Value].
func (c choice) String() string {
	if c.value == nil {
		return ""
	}
	return *c.value
}

// Type implements [pflag.Value].
func (c choice) Type() string { return strings.Join(c.of, "|") }

// choiceFlag adds a flag that is one of a few words, the first of them by default.
func choiceFlag(fs *pflag.FlagSet, to *string, name, usage string, of ...string) {
	*to = of[0]
	fs.Var(choice{to, of}, name, usage)
}
