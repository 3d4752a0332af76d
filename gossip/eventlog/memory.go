package eventlog

import "log/slog"

// Memory is a log in memory: nothing of it survives Close.
type Memory struct{ *engine }

// NewMemory returns an empty memory log. It starts a goroutine that Close ends.
func NewMemory(cfg MemoryConfig) *Memory {
	logger := cfg.Logger
	if logger == nil {
		logger = slog.Default()
	}
	e := newEngine(logger.With("component", "eventlog"))
	e.maxBytes, e.tailBytes = cfg.MaxBytes, -1
	e.incarnation = randomUint64()
	e.wg.Go(e.write)
	return &Memory{e}
}
