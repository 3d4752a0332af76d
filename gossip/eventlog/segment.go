package eventlog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
)

// A segment's file and its sidecar start with the same header:
//
//	magic 4 | format version 4 | incarnation 8 | number 4 | seed 4 |
//	bytes of the segment 8 | bytes of records 8 | CRC-32C 4
//
// The two sizes are those of a closed segment and stand in the sidecar alone.
type fileHeader struct {
	magic       string // segmentMagic or sidecarMagic
	incarnation uint64
	number      uint32
	seed        uint32 // of the checksums of all records
	segmentSize int64
	recordBytes int64
}

const (
	segmentMagic  = "BNSG"
	sidecarMagic  = "BNIX"
	formatVersion = 1
	headerBytes   = 44
	segmentSuffix = ".seg"
	sidecarSuffix = ".idx"
	damagedSuffix = ".damaged"
)

func (h *fileHeader) append(dst []byte) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = append(dst, h.magic...)
	dst = le.AppendUint32(dst, formatVersion)
	dst = le.AppendUint64(dst, h.incarnation)
	dst = le.AppendUint32(dst, h.number)
	dst = le.AppendUint32(dst, h.seed)
	dst = le.AppendUint64(dst, uint64(h.segmentSize))
	dst = le.AppendUint64(dst, uint64(h.recordBytes))
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

func parseFileHeader(b []byte, magic string) (fileHeader, error) {
	le := binary.LittleEndian
	if len(b) < headerBytes {
		return fileHeader{}, fmt.Errorf("%w: header of %d bytes", ErrDamaged, len(b))
	}
	if string(b[:4]) != magic || crc32.Checksum(b[:headerBytes-4], castagnoli) != le.Uint32(b[headerBytes-4:]) {
		return fileHeader{}, fmt.Errorf("%w: header", ErrDamaged)
	}
	if v := le.Uint32(b[4:]); v != formatVersion {
		return fileHeader{}, fmt.Errorf("%w: %d", ErrFormat, v)
	}
	return fileHeader{
		magic:       magic,
		incarnation: le.Uint64(b[8:]),
		number:      le.Uint32(b[16:]),
		seed:        le.Uint32(b[20:]),
		segmentSize: int64(le.Uint64(b[24:])),
		recordBytes: int64(le.Uint64(b[32:])),
	}, nil
}

// segment is one file of the log.
type segment struct {
	// Constant.
	number uint32
	seed   uint32
	path   string // without suffix
	fs     FileSystem
	files  *openFiles

	// Guarded by the log's mutex; the writer alone changes them.
	size     int64
	sideSize int64
	live     int64     // bytes of the batches that are here and not removed
	refs     []*record // that have something here, and some that no longer do
	missing  bool      // the file has vanished

	// Of the writer alone, while the segment is written to; then of the keeper.
	side       []byte // the sidecar's records so far; its length changes under the log's mutex
	committed  int64  // what the newest commit record says
	sideLength int64  // of the sidecar that the keeper wrote

	synced atomic.Int64 // up to here it survives a power failure
	broken atomic.Pointer[syncError]

	mu   sync.RWMutex // guards the fields below
	file File         // nil: not open
	gone bool         // removed
}

// syncError is why a segment is broken: what its syncs did not cover may be
// gone, whatever a later sync says.
type syncError struct{ err error }

func (s *segment) failure() error {
	if b := s.broken.Load(); b != nil {
		return fmt.Errorf("eventlog: sync: %w", wrapFull(b.err))
	}
	return nil
}

var errSegmentGone = errors.New("eventlog: segment removed")

func segmentPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%010d", number))
}

// refer notes that r has something in s, mostly once.
func (s *segment) refer(r *record) {
	if n := len(s.refs); n == 0 || s.refs[n-1] != r {
		s.refs = append(s.refs, r)
	}
}

// with calls f with the open file, which stays open meanwhile.
func (s *segment) with(f func(File) error) error {
	s.mu.RLock()
	for s.file == nil {
		s.mu.RUnlock()
		if err := s.open(); err != nil {
			return err
		}
		s.mu.RLock() // another may have closed it meanwhile
	}
	defer s.mu.RUnlock()
	return f(s.file)
}

// open opens the file, and closes one that has been open for long.
func (s *segment) open() error {
	if err := s.openFile(); err != nil {
		return err
	}
	if old := s.files.add(s); old != nil {
		return old.close(false)
	}
	return nil
}

// openFiles bounds the segments whose files were opened for reading, oldest first.
type openFiles struct {
	mu   sync.Mutex // guards the field below
	segs []*segment
}

const openFilesMax = 128

// add notes that s was opened, and returns the one to close for it, if any.
func (o *openFiles) add(s *segment) *segment {
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.Contains(o.segs, s) {
		return nil
	}
	o.segs = append(o.segs, s)
	if len(o.segs) <= openFilesMax {
		return nil
	}
	old := o.segs[0]
	o.segs = slices.Delete(o.segs, 0, 1)
	return old
}

func (s *segment) openFile() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return errSegmentGone
	}
	if s.file != nil {
		return nil
	}
	f, err := s.fs.Open(s.path + segmentSuffix)
	if err != nil {
		return err
	}
	s.file = f
	return nil
}

// readAt fills p from pos.
func (s *segment) readAt(p []byte, pos int64) error {
	return s.with(func(f File) error {
		n, err := f.ReadAt(p, pos)
		if n == len(p) {
			return nil
		}
		if err == nil || errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
}

func (s *segment) writeAt(p []byte, pos int64) error {
	return s.with(func(f File) error {
		n, err := f.WriteAt(p, pos)
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
		return err
	})
}

// sync forces what was written up to size to the disk. After an error the
// segment is broken: the kernel has dropped the dirty mark of the pages it could
// not write, so that a second sync would succeed without having written them.
func (s *segment) sync(size int64) error {
	if err := s.with(File.Datasync); err != nil {
		if errors.Is(err, errSegmentGone) {
			return err
		}
		s.broken.Store(&syncError{err})
		return s.failure()
	}
	if s.synced.Load() < size {
		s.synced.Store(size)
	}
	return nil
}

// close closes the file; remove also lets nobody open it again.
func (s *segment) close(remove bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = s.gone || remove
	if s.file == nil {
		return nil
	}
	f := s.file
	s.file = nil
	return f.Close()
}

// createSegment makes an empty segment.
func createSegment(fs FileSystem, dir string, h fileHeader, durable bool) (*segment, error) {
	s := &segment{number: h.number, seed: h.seed, path: segmentPath(dir, h.number), fs: fs}
	f, err := fs.Create(s.path + segmentSuffix)
	if err != nil {
		return nil, err
	}
	h.magic = segmentMagic
	if _, err = f.WriteAt(h.append(nil), 0); err == nil && durable {
		if err = f.Datasync(); err == nil {
			err = fs.SyncDir(dir)
		}
	}
	if err != nil {
		_ = f.Close()
		_ = fs.Remove(s.path + segmentSuffix) // or the next start does
		return nil, err
	}
	s.file, s.size = f, headerBytes
	if durable {
		s.synced.Store(headerBytes)
	}
	s.committed = headerBytes
	return s, nil
}
