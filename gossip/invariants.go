//go:build invariants

package gossip

import "fmt"

// assertf panics on a programmer's error. What a peer or a disk can cause is
// never asserted.
func assertf(ok bool, format string, args ...any) {
	if !ok {
		panic("gossip: " + fmt.Sprintf(format, args...))
	}
}
