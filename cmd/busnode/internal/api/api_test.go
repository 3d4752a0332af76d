package api

import (
	"fmt"
	"strings"
	"testing"

	"github.com/busnode/busnode/bus"
)

func TestErrorsSayWhatToDo(t *testing.T) {
	e := AsError(fmt.Errorf("bus: publish on %q: %w", "a", bus.ErrBacklog))
	if e.Code != CodeFailed || !strings.Contains(e.Message, "--retain-bytes") || strings.Contains(e.Message, "bus:") {
		t.Errorf("a backlog is told as %s: %s", e.Code, e.Message)
	}
	if e := AsError(fmt.Errorf("bus: publish on %q: %w", "a", bus.ErrClosed)); e.Code != CodeClosed ||
		!strings.Contains(e.Message, bus.ErrClosed.Error()) {
		t.Errorf("a closed bus is told as %s: %s", e.Code, e.Message)
	}
}
