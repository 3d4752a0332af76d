//go:build !linux

package eventlog

import (
	"os"
	"runtime"
)

// Datasync forces the file to the disk.
func (f osFile) Datasync() error { return f.Sync() }

// SyncDir makes the directory's entries durable. Windows has no such call, and
// makes names durable by itself.
func (osFS) SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer func() { _ = d.Close() }()
	return d.Sync()
}
