package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// rootCommand returns the tree of commands. Cobra's own errors, all of them
// about the command line, become usage errors; run adds the rest.
func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "busnode",
		Short: "A peer-to-peer event bus: run a node, publish, subscribe, look, measure",
		Long: `busnode runs a node of a peer-to-peer publish/subscribe event bus, and talks to it.

Every flag has a variable: --retain-age is BUSNODE_RETAIN_AGE. A flag goes before
its variable, the variable before --config FILE (TOML, keys named as the flags),
the file before the default. Lists in variables are separated by commas.

Exit codes: 0 done, 1 failed, 2 usage, 3 timed out with less than asked, 130 interrupted.`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return cmd.Help()
			}
			return unknownCommand(cmd, args[0])
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.SuggestionsMinimumDistance = 2
	root.PersistentFlags().StringVar(&a.output, "output", outputText, "text, json or jsonl")
	root.PersistentFlags().StringVar(&a.config, "config", "", "read settings from this TOML `file`")
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(&cobra.Command{Use: "help [command]", Short: "Help about a command", RunE: help})
	root.AddCommand(
		a.runCommand(), a.pubCommand(), a.subCommand(),
		a.statusCommand(), a.peersCommand(), a.topicsCommand(), a.durableCommand(),
		a.demoCommand(), a.benchCommand(), a.simCommand(),
		a.keygenCommand(), a.doctorCommand(), a.versionCommand(), completionCommand(),
	)
	return root
}

func help(cmd *cobra.Command, args []string) error {
	of, rest, err := cmd.Root().Find(args)
	if err != nil || (len(rest) > 0 && of == cmd.Root()) {
		return unknownCommand(cmd.Root(), strings.Join(args, " "))
	}
	return of.Help()
}

func unknownCommand(cmd *cobra.Command, name string) error {
	text := fmt.Sprintf("unknown command %q", name)
	if close := cmd.SuggestionsFor(name); len(close) > 0 {
		text += ", did you mean " + strings.Join(close, " or ") + "?"
	}
	return usagef("%s", text)
}

// group makes a command that only holds others.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) *cobra.Command {
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return usagef("which of %s?", strings.Join(names(cmd), ", "))
		}
		return unknownCommand(cmd, args[0])
	}
	cmd.AddCommand(subcommands...)
	return cmd
}

func names(cmd *cobra.Command) []string {
	var out []string
	for _, c := range cmd.Commands() {
		out = append(out, c.Name())
	}
	return out
}

// action is what a command does once its flags are settled.
type action func(ctx context.Context, args []string) error

// does gives cmd its action, its number of arguments, and the formats that it
// can write.
func (a *app) does(cmd *cobra.Command, minArgs, maxArgs int, outputs []string, do action) *cobra.Command {
	cmd.Args = func(_ *cobra.Command, args []string) error {
		if len(args) < minArgs || len(args) > maxArgs {
			return usagef("%s given, want: %s", countOf(len(args), "argument"), cmd.UseLine())
		}
		return nil
	}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := a.settle(cmd); err != nil {
			return err
		}
		if !slices.Contains(outputs, a.output) {
			return usagef("--output %s: this command writes %s", a.output, strings.Join(outputs, ", "))
		}
		err := do(cmd.Context(), args)
		if errors.Is(err, context.Canceled) && context.Cause(cmd.Context()) != nil {
			return context.Cause(cmd.Context())
		}
		return err
	}
	return cmd
}

func countOf(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func completionCommand() *cobra.Command {
	shells := []string{"bash", "zsh", "fish", "powershell"}
	return &cobra.Command{
		Use:       "completion bash|zsh|fish|powershell",
		Short:     "Print a completion script for a shell",
		Example:   "  source <(busnode completion bash)",
		ValidArgs: shells,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return usagef("which shell? one of %s", strings.Join(shells, ", "))
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "bash":
				return root.GenBashCompletionV2(out, true)
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			}
			return root.GenPowerShellCompletionWithDesc(out)
		},
	}
}
