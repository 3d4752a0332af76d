package eventlog

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/gofrs/flock"
)

// FileSystem is what a log of segment files asks of the operating system. Tests
// put a faulty one in its place. Names are paths. Errors wrap those of package
// io/fs and syscall, as package os does.
type FileSystem interface {
	MkdirAll(dir string) error
	Open(name string) (File, error)   // an existing file, for reading and writing
	Create(name string) (File, error) // an empty file; an older one of the name is emptied
	Rename(oldName, newName string) error
	Remove(name string) error
	List(dir string) ([]string, error) // base names, ascending
	SyncDir(dir string) error          // makes created, renamed and removed names durable
	// Lock takes the directory for this process alone, until the Closer is
	// closed. The error wraps [ErrLocked] if another holds it.
	Lock(dir string) (io.Closer, error)
}

// File is a file of a [FileSystem]. Its methods are safe for concurrent use.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Truncate(size int64) error
	Datasync() error // what was written, and the size, survive a power failure
	Size() (int64, error)
}

// osFS is the operating system's.
type osFS struct{}

type osFile struct{ *os.File }

const (
	fileMode = 0o600
	dirMode  = 0o700
	lockName = "lock"
)

func (osFS) MkdirAll(dir string) error { return os.MkdirAll(dir, dirMode) }

func (osFS) Open(name string) (File, error) { return openOS(name, os.O_RDWR) }

func (osFS) Create(name string) (File, error) { return openOS(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC) }

func openOS(name string, flag int) (File, error) {
	f, err := os.OpenFile(name, flag, fileMode)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(oldName, newName string) error { return os.Rename(oldName, newName) }
func (osFS) Remove(name string) error             { return os.Remove(name) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// Lock uses flock(2) or its equivalent, which the kernel lets go when the
// process dies, however it dies.
func (osFS) Lock(dir string) (io.Closer, error) {
	name := filepath.Join(dir, lockName)
	lock := flock.New(name, flock.SetPermissions(fileMode))
	ok, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("eventlog: lock %s: %w", name, err)
	}
	if !ok {
		return nil, fmt.Errorf("%w: directory %s%s", ErrLocked, dir, lockHolder(name))
	}
	// The number is for the text of the other process's error alone, so that a
	// failure to write it is of no consequence.
	_ = os.WriteFile(name, []byte(strconv.Itoa(os.Getpid())+"\n"), fileMode)
	return lock, nil
}

func lockHolder(name string) string {
	text, err := os.ReadFile(name)
	if err != nil {
		return ""
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return ""
	}
	return fmt.Sprintf(" (process %d)", pid)
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeFile replaces a file as a whole: whoever reads it finds the old content
// or the new.
func writeFile(fs FileSystem, name string, data []byte, sync bool) error {
	tmp := name + ".tmp"
	f, err := fs.Create(tmp)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	if err == nil && sync {
		err = f.Datasync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = fs.Rename(tmp, name)
	}
	if err == nil && sync {
		err = fs.SyncDir(filepath.Dir(name))
	}
	if err != nil {
		_ = fs.Remove(tmp) // a leftover is removed at the next start
	}
	return err
}

// readFile returns a file's content, if it has at most max bytes.
func readFile(fs FileSystem, name string, max int64) ([]byte, error) {
	f, err := fs.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > max {
		return nil, fmt.Errorf("%w: %s has %d bytes", ErrDamaged, name, size)
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return data, nil
}
