//go:build !linux

package main

import "time"

var threadStart = time.Now()

// threadTime returns the time that has passed: here a thread cannot be asked what
// processor time it has used.
func threadTime() time.Duration { return time.Since(threadStart) }
