package eventlogtest

import (
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/busnode/busnode/gossip/eventlog"
)

// FaultFS is a file system in memory that knows what a disk would still have
// after a power failure, and that fails when told to. It is safe for
// concurrent use.
type FaultFS struct {
	mu     sync.Mutex // guards the fields below, and all inodes
	names  map[string]*inode
	disk   map[string]*inode // the names that survive a crash
	moves  []move            // changes of names that SyncDir has not made durable
	locked map[string]bool
	used   int64
	limit  int64
	age    int  // of the machine: a crash ends all open files
	down   bool // from Crash to Restart
	fail   func(op, name string) error
}

type inode struct {
	data    []byte
	disk    []byte  // what survives a crash
	pending []patch // what is in data and not in disk
}

// patch is a write, or with data nil a truncation to pos.
type patch struct {
	pos  int64
	data []byte
}

// move sets a name to a file, or with nil removes it.
type move struct {
	name string
	file *inode
}

// NewFaultFS returns an empty file system without faults.
func NewFaultFS() *FaultFS {
	return &FaultFS{names: make(map[string]*inode), disk: make(map[string]*inode), locked: make(map[string]bool)}
}

// FailIf has f decide about every call from now on: an error it returns is what
// the call fails with. op is the method's name; name the file or directory. A
// failing WriteAt writes half. f nil ends the faults.
func (x *FaultFS) FailIf(f func(op, name string) error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.fail = f
}

// Limit lets all files together have at most limit bytes; 0: no limit.
func (x *FaultFS) Limit(limit int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.limit = limit
}

// Used returns the bytes of all files.
func (x *FaultFS) Used() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.used
}

// Files returns the names of all files, ascending.
func (x *FaultFS) Files() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Sorted(maps.Keys(x.names))
}

// Content returns a copy of a file.
func (x *FaultFS) Content(name string) []byte {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f := x.names[name]; f != nil {
		return slices.Clone(f.data)
	}
	return nil
}

// Flip inverts a bit of a file, as it is and as it is on the disk.
func (x *FaultFS) Flip(name string, pos int64, bit uint) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f := x.names[name]
	f.data[pos] ^= 1 << (bit % 8)
	if pos < int64(len(f.disk)) {
		f.disk[pos] ^= 1 << (bit % 8)
	}
}

// Vanish removes a file for good.
func (x *FaultFS) Vanish(name string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if f := x.names[name]; f != nil {
		x.used -= int64(len(f.data))
	}
	delete(x.names, name)
	delete(x.disk, name)
}

// Crash is a power failure. Of the writes and of the changes of names that were
// not synced, a beginning that r draws survives, and of the first write that
// does not, perhaps a part; with scatter, any of them may, as a disk that
// reorders has it. All open files and locks end, and every call fails until
// Restart. r nil: nothing unsynced survives.
func (x *FaultFS) Crash(r *rand.Rand, scatter bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.age++
	x.down = true
	clear(x.locked)
	x.fail = nil
	survivors := 0
	if r != nil {
		survivors = r.IntN(len(x.moves) + 1)
	}
	for _, m := range x.moves[:survivors] {
		x.disk[m.name] = m.file
		if m.file == nil {
			delete(x.disk, m.name)
		}
	}
	x.moves = nil
	x.names = maps.Clone(x.disk)
	x.used = 0
	for _, name := range slices.Sorted(maps.Keys(x.names)) {
		f := x.names[name]
		f.crash(r, scatter)
		x.used += int64(len(f.data))
	}
}

// Restart ends what Crash began.
func (x *FaultFS) Restart() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.down = false
}

func (f *inode) crash(r *rand.Rand, scatter bool) {
	if r != nil && len(f.pending) > 0 {
		survivors := r.IntN(len(f.pending) + 1)
		for i, p := range f.pending {
			switch {
			case scatter && r.IntN(2) == 0, !scatter && i < survivors:
				f.disk = p.apply(f.disk)
			case !scatter && i == survivors && p.data != nil:
				f.disk = patch{p.pos, p.data[:r.IntN(len(p.data)+1)]}.apply(f.disk)
			}
		}
	}
	f.pending = nil
	f.data = slices.Clone(f.disk)
}

func (p patch) apply(data []byte) []byte {
	if p.data == nil {
		return resize(data, p.pos)
	}
	if end := p.pos + int64(len(p.data)); end > int64(len(data)) {
		data = resize(data, end)
	}
	copy(data[p.pos:], p.data)
	return data
}

func resize(data []byte, size int64) []byte {
	if size <= int64(len(data)) {
		return data[:size]
	}
	return append(data, make([]byte, size-int64(len(data)))...)
}

func (x *FaultFS) check(op, name string) error {
	if x.down {
		return &fs.PathError{Op: op, Path: name, Err: syscall.ENODEV}
	}
	if x.fail == nil {
		return nil
	}
	if err := x.fail(op, name); err != nil {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	return nil
}

// MkdirAll implements eventlog.FileSystem; directories need no making.
func (x *FaultFS) MkdirAll(dir string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.check("MkdirAll", dir)
}

// Open implements eventlog.FileSystem.
func (x *FaultFS) Open(name string) (eventlog.File, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("Open", name); err != nil {
		return nil, err
	}
	f := x.names[name]
	if f == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &faultFile{fs: x, inode: f, name: name, age: x.age}, nil
}

// Create implements eventlog.FileSystem.
func (x *FaultFS) Create(name string) (eventlog.File, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("Create", name); err != nil {
		return nil, err
	}
	if old := x.names[name]; old != nil {
		x.used -= int64(len(old.data))
	}
	f := &inode{}
	x.names[name] = f
	x.moves = append(x.moves, move{name, f})
	return &faultFile{fs: x, inode: f, name: name, age: x.age}, nil
}

// Rename implements eventlog.FileSystem.
func (x *FaultFS) Rename(oldName, newName string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("Rename", newName); err != nil {
		return err
	}
	f := x.names[oldName]
	if f == nil {
		return &fs.PathError{Op: "rename", Path: oldName, Err: fs.ErrNotExist}
	}
	if old := x.names[newName]; old != nil {
		x.used -= int64(len(old.data))
	}
	delete(x.names, oldName)
	x.names[newName] = f
	x.moves = append(x.moves, move{newName, f}, move{oldName, nil})
	return nil
}

// Remove implements eventlog.FileSystem.
func (x *FaultFS) Remove(name string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("Remove", name); err != nil {
		return err
	}
	f := x.names[name]
	if f == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	x.used -= int64(len(f.data))
	delete(x.names, name)
	x.moves = append(x.moves, move{name, nil})
	return nil
}

// List implements eventlog.FileSystem.
func (x *FaultFS) List(dir string) ([]string, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("List", dir); err != nil {
		return nil, err
	}
	var names []string
	for name := range x.names {
		if filepath.Dir(name) == filepath.Clean(dir) {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

// SyncDir implements eventlog.FileSystem.
func (x *FaultFS) SyncDir(dir string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if err := x.check("SyncDir", dir); err != nil {
		return err
	}
	x.moves = nil
	x.disk = maps.Clone(x.names)
	return nil
}

// Lock implements eventlog.FileSystem.
func (x *FaultFS) Lock(dir string) (io.Closer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.locked[dir] {
		return nil, fmt.Errorf("%w: directory %s", eventlog.ErrLocked, dir)
	}
	x.locked[dir] = true
	return &faultLock{x, dir, x.age}, nil
}

type faultLock struct {
	fs  *FaultFS
	dir string
	age int
}

func (l *faultLock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	if l.age == l.fs.age {
		delete(l.fs.locked, l.dir)
	}
	return nil
}

type faultFile struct {
	fs     *FaultFS
	inode  *inode
	name   string
	age    int
	closed bool
}

// enter locks the file system and decides about a call.
func (f *faultFile) enter(op string) error {
	f.fs.mu.Lock()
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	if f.age != f.fs.age {
		return &fs.PathError{Op: op, Path: f.name, Err: syscall.ENODEV}
	}
	return f.fs.check(op, f.name)
}

func (f *faultFile) leave() { f.fs.mu.Unlock() }

func (f *faultFile) ReadAt(p []byte, pos int64) (int, error) {
	defer f.leave()
	if err := f.enter("ReadAt"); err != nil {
		return 0, err
	}
	if pos >= int64(len(f.inode.data)) {
		return 0, io.EOF
	}
	n := copy(p, f.inode.data[pos:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *faultFile) WriteAt(p []byte, pos int64) (int, error) {
	defer f.leave()
	err := f.enter("WriteAt")
	if f.closed || f.age != f.fs.age {
		return 0, err
	}
	n := len(p)
	if err != nil {
		n /= 2
	}
	if grow := pos + int64(n) - int64(len(f.inode.data)); f.fs.limit > 0 && grow > f.fs.limit-f.fs.used {
		n = max(0, n-int(grow-(f.fs.limit-f.fs.used)))
		err = &fs.PathError{Op: "write", Path: f.name, Err: syscall.ENOSPC}
	}
	if n > 0 {
		f.change(patch{pos, slices.Clone(p[:n])})
	}
	return n, err
}

func (f *faultFile) change(p patch) {
	before := len(f.inode.data)
	f.inode.data = p.apply(f.inode.data)
	f.inode.pending = append(f.inode.pending, p)
	f.fs.used += int64(len(f.inode.data) - before)
}

func (f *faultFile) Truncate(size int64) error {
	defer f.leave()
	if err := f.enter("Truncate"); err != nil {
		return err
	}
	f.change(patch{pos: size})
	return nil
}

// Datasync makes the file durable. When it fails, the file is as a kernel
// leaves it: what was not synced is taken for clean, and is never written.
func (f *faultFile) Datasync() error {
	defer f.leave()
	if err := f.enter("Datasync"); err != nil {
		if !f.closed && f.age == f.fs.age {
			f.inode.pending = nil
		}
		return err
	}
	for _, p := range f.inode.pending {
		f.inode.disk = p.apply(f.inode.disk)
	}
	f.inode.pending = nil
	return nil
}

func (f *faultFile) Size() (int64, error) {
	defer f.leave()
	if err := f.enter("Size"); err != nil {
		return 0, err
	}
	return int64(len(f.inode.data)), nil
}

func (f *faultFile) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	f.closed = true
	return nil
}
