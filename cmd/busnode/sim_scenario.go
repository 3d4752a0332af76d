package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/busnode/busnode/gossip/sim"
)

func (a *app) simScenarioCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "scenario FILE",
		Short: "Run a scenario script, and check what it expects",
		Long: `Run a scenario script: nodes, load and faults line by line, and what is expected of them.
FILE - is standard input. Each line is a step; what follows # is a comment. A line is
written for each as it is taken, with the virtual time. The code is 1 if something is
not as expected, and 2 if the script has a mistake.

Steps:
  ` + strings.Join(sim.Verbs(), "\n  "),
		Example: "  busnode sim scenario gossip/sim/testdata/scenarios/half_crash.txt",
	}
	return a.does(cmd, 1, 1, []string{outputText}, func(ctx context.Context, args []string) error {
		return a.scenario(ctx, args[0])
	})
}

func (a *app) scenario(ctx context.Context, file string) error {
	name, text, err := a.readScript(file)
	if err != nil {
		return err
	}
	script, err := sim.ParseScenario(name, text)
	if err != nil {
		return asUsage(err)
	}
	err = script.Run(a.stdout, func() bool { return ctx.Err() != nil })
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case errors.Is(err, sim.ErrScenario): // a line that does not fit what it meets
		return asUsage(err)
	}
	return err
}

func (a *app) readScript(file string) (name string, text []byte, err error) {
	if file == "-" {
		text, err = io.ReadAll(a.stdin)
		name = "standard input"
	} else {
		text, err = os.ReadFile(file)
		name = file
	}
	if err != nil {
		return "", nil, fmt.Errorf("the script: %w", err)
	}
	return name, text, nil
}
