// Command busnode runs a node of the bus, publishes and subscribes from the
// command line, and shows what a network of nodes does. docs/cli.md is its
// manual.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	os.Exit(mainCode())
}

func mainCode() int {
	ctx, stop := interruptible()
	defer stop()
	a := &app{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, lookupEnv: os.LookupEnv}
	return a.run(ctx, os.Args[1:])
}

// app is what a command has to do with the process around it.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	lookupEnv      func(string) (string, bool)
	output         string // --output
	config         string // --config
}

// interruptible returns a context that Ctrl-C or SIGTERM cancels with the
// cause errInterrupted. A second signal ends the process at once.
func interruptible() (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		select {
		case <-signals:
			cancel(errInterrupted)
		case <-done:
			return
		}
		select {
		case <-signals:
			os.Exit(exitInterrupted)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel(nil)
	}
}

// run executes a command line and returns the exit code.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	root.SetArgs(args)
	root.SetIn(a.stdin)
	root.SetOut(a.stdout)
	root.SetErr(a.stderr)
	cmd, err := root.ExecuteContextC(ctx)
	code := exitCode(ctx, err)
	if err == nil || code == exitInterrupted {
		return code
	}
	fmt.Fprintf(a.stderr, "%s: %s\n", cmd.CommandPath(), oneLine(err))
	if code == exitUsage {
		fmt.Fprintf(a.stderr, "see '%s --help'\n", cmd.CommandPath())
	}
	return code
}
