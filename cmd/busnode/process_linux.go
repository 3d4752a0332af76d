package main

import "syscall"

// apart puts a child into a process group of its own, and has it end with this process.
func apart() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
