package socket

import (
	"context"
	"time"
)

// rescanEvery is how often the interfaces are looked at when nothing tells of a change.
const rescanEvery = 10 * time.Second

// settleFor is how long changes are gathered: they come in bursts.
const settleFor = 50 * time.Millisecond

// Watch returns a channel that has a value after the interfaces or their addresses
// may have changed, at the latest after ten seconds; it ends with ctx, when
// the channel is closed.
func Watch(ctx context.Context) <-chan struct{} {
	out := make(chan struct{}, 1)
	told, stop := notices()
	go func() {
		defer close(out)
		defer stop()
		every := time.NewTicker(rescanEvery)
		defer every.Stop()
		for {
			select {
			case <-told:
				select {
				case <-time.After(settleFor):
				case <-ctx.Done():
					return
				}
			case <-every.C:
			case <-ctx.Done():
				return
			}
			select {
			case out <- struct{}{}:
			default:
			}
		}
	}()
	return out
}
