package main

import (
	"bufio"
	"bytes"
	"os"
	"strconv"
	"strings"
)

// availableMemory returns how much memory the process may take without pushing
// others out, or 0 if the system does not tell.
func availableMemory() uint64 {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	free := uint64(0)
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 && fields[0] == "MemAvailable:" {
			kib, _ := strconv.ParseUint(fields[1], 10, 64) // 0 tells nothing, as an absent line
			free = kib << 10
		}
	}
	if limit := readNumber("/sys/fs/cgroup/memory.max"); limit > 0 {
		free = min(free, limit-min(limit, readNumber("/sys/fs/cgroup/memory.current")))
	}
	return free
}

// readNumber returns a file's number, or 0: a group without a limit says "max".
func readNumber(path string) uint64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	if err != nil {
		return 0
	}
	return n
}
