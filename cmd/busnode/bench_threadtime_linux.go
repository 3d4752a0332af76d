package main

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime returns the processor time that the calling thread has used: what others
// do on a busy machine is not in it. The caller has locked its goroutine to the thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0 // never for one's own thread
	}
	return time.Duration(t.Nano())
}
