package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/busnode/busnode/bus"
	"github.com/busnode/busnode/cmd/busnode/internal/api"
)

// The exit codes, as docs/cli.md lists them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitTimeout     = 3
	exitInterrupted = 130
)

var (
	errInterrupted = errors.New("interrupted")
	errUsage       = errors.New("usage")
	errTimeout     = errors.New("timed out")
)

// coded is an error whose kind sets the exit code but does not show in its text.
type coded struct {
	text string
	kind error
}

func (e *coded) Error() string { return e.text }
func (e *coded) Unwrap() error { return e.kind }

func usagef(format string, args ...any) error {
	return &coded{fmt.Sprintf(format, args...), errUsage}
}

func timeoutf(format string, args ...any) error {
	return &coded{fmt.Sprintf(format, args...), errTimeout}
}

// exitCode returns the code that tells a script what became of a command.
func exitCode(ctx context.Context, err error) int {
	if err == nil {
		return exitDone
	}
	if errors.Is(context.Cause(ctx), errInterrupted) {
		return exitInterrupted
	}
	if e, ok := errors.AsType[*api.Error](err); ok {
		switch e.Code {
		case api.CodeUsage:
			return exitUsage
		case api.CodeTimeout:
			return exitTimeout
		case api.CodeTooLarge, api.CodeNotFound, api.CodeClosed, api.CodeFailed:
			return exitFailed
		}
	}
	switch {
	case errors.Is(err, errTimeout):
		return exitTimeout
	case errors.Is(err, errUsage), errors.Is(err, bus.ErrConfig),
		errors.Is(err, bus.ErrTopic), errors.Is(err, bus.ErrFilter):
		return exitUsage
	}
	return exitFailed
}

// oneLine makes an error's text one line, without the prefix of the package
// that made it: the command's own name stands before it.
func oneLine(err error) string {
	text := strings.TrimPrefix(err.Error(), "bus: ")
	return strings.ReplaceAll(strings.TrimSpace(text), "\n", "; ")
}
