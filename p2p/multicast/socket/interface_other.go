//go:build !linux

package socket

import "net"

// kindOf knows no more than the flags: these systems tell no kind by name or flag.
func kindOf(ifi net.Interface) Kind {
	if ifi.Flags&net.FlagLoopback != 0 {
		return Loopback
	}
	return Unknown
}

// linkLocals takes every address for one to send from: sending will tell.
func linkLocals() func(index int) bool { return func(int) bool { return true } }
