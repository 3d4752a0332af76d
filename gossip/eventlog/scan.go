package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// scanner reads the records of a segment or sidecar file, one after the other,
// through a window that grows to the longest record.
type scanner struct {
	file File
	size int64
	seed uint32

	pos    int64 // of the next record
	window []byte
	at     int64 // of the window in the file
}

const windowBytes = 1 << 20

// bytesAt returns n bytes from pos, fewer at the file's end. They are valid
// until the next call.
func (s *scanner) bytesAt(pos int64, n int) ([]byte, error) {
	n = int(min(int64(n), s.size-pos))
	if n <= 0 {
		return nil, nil
	}
	if pos < s.at || pos+int64(n) > s.at+int64(len(s.window)) {
		want := int(min(int64(max(n, windowBytes)), s.size-pos))
		if cap(s.window) < want {
			s.window = make([]byte, want)
		}
		s.window, s.at = s.window[:want], pos
		got, err := s.file.ReadAt(s.window, pos)
		if err != nil && !errors.Is(err, io.EOF) {
			s.window = s.window[:0]
			return nil, err
		}
		s.window = s.window[:got]
		n = min(n, got)
	}
	from := int(pos - s.at)
	return s.window[from : from+n], nil
}

// record returns the sound record at pos; ok is false if there is none.
func (s *scanner) record(pos int64) (k recordKind, record []byte, ok bool, err error) {
	frame, err := s.bytesAt(pos, frameBytes)
	if err != nil {
		return 0, nil, false, err
	}
	k, n, ok := checkFrame(frame)
	if !ok || pos+int64(n) > s.size {
		return 0, nil, false, nil
	}
	record, err = s.bytesAt(pos, n)
	if err != nil || len(record) < n {
		return 0, nil, false, err
	}
	return k, record, checkRecord(record, s.seed), nil
}

// resync finds the next sound record after a damaged one at pos: where the
// damaged frame says, or else the first that any byte begins.
func (s *scanner) resync(pos int64) (next int64, err error) {
	frame, err := s.bytesAt(pos, frameBytes)
	if err != nil {
		return 0, err
	}
	if _, n, ok := checkFrame(frame); ok {
		end := pos + int64(n)
		if _, _, sound, err := s.record(end); err != nil || sound || end == s.size {
			return end, err
		}
	}
	for pos++; pos+frameBytes <= s.size; pos++ {
		b, err := s.ahead(pos)
		if err != nil || len(b) < frameBytes {
			return s.size, err
		}
		skipped := frameAt(b)
		pos += int64(skipped)
		if skipped+frameBytes > len(b) {
			pos-- // what is left of the window may begin a frame
			continue
		}
		if _, _, sound, err := s.record(pos); err != nil || sound {
			return pos, err
		}
	}
	return s.size, nil
}

// ahead returns what the window has from pos on, a frame at least unless the
// file ends before.
func (s *scanner) ahead(pos int64) ([]byte, error) {
	if b, err := s.bytesAt(pos, frameBytes); err != nil || len(b) < frameBytes {
		return b, err
	}
	return s.window[pos-s.at:], nil
}

// frameAt returns where in b the first frame is that makes sense, or else how
// many bytes begin none.
func frameAt(b []byte) int {
	for i := 0; ; i++ {
		next := bytes.IndexByte(b[i:], recordMagic)
		if next < 0 {
			return len(b)
		}
		i += next
		if i+frameBytes > len(b) {
			return i
		}
		if _, _, ok := checkFrame(b[i:]); ok {
			return i
		}
	}
}

// found is what a scan of a segment tells besides its records.
type found struct {
	damaged int   // records that were skipped
	lost    int   // batches among them whose header is sound
	end     int64 // of the last sound record
	torn    bool  // what is after end is the rest of a write that did not complete
}

// scanSegment calls f with each record of a segment. A damaged record is skipped
// if more sound ones must follow it: in a closed segment, or, in the last one,
// below the position that a later commit record says was synced. What is damaged
// beyond is the torn end of the last writes, which nobody was promised.
func scanSegment(s *scanner, last bool, f func(it *item, pos int64, size int) error) (found, error) {
	res := found{end: s.pos}
	trusted := s.size
	if last {
		var err error
		if trusted, err = syncedUpTo(s); err != nil {
			return res, err
		}
	}
	var it item
	for pos := s.pos; pos < s.size; {
		k, record, sound, err := s.record(pos)
		if err != nil {
			return res, err
		}
		if sound {
			if err := parseItem(k, record[frameBytes:], &it); err != nil {
				sound = false // written by a newer version, or not by this code
			}
		}
		if !sound && pos >= trusted {
			res.torn = true
			return res, nil
		}
		next := pos + int64(len(record))
		if !sound {
			res.damaged++
			if next, err = s.skip(pos, &it, &res, f); err != nil {
				return res, err
			}
		} else if err := f(&it, pos, len(record)); err != nil {
			return res, err
		}
		pos, res.end = next, next
	}
	return res, nil
}

// skip steps over a damaged record; if it is a batch with a sound header, f is
// told of it as lost.
func (s *scanner) skip(pos int64, it *item, res *found, f func(*item, int64, int) error) (int64, error) {
	next, err := s.resync(pos)
	if err != nil {
		return 0, err
	}
	frame, err := s.bytesAt(pos, frameBytes)
	if err != nil {
		return 0, err
	}
	k, n, ok := checkFrame(frame)
	if !ok || k != recBatch || pos+int64(n) != next {
		return next, nil
	}
	record, err := s.bytesAt(pos, n)
	if err != nil || len(record) < n {
		return next, err
	}
	payload := record[frameBytes:]
	if parseItem(k, payload, it) != nil || !headSound(payload, it, s.seed) {
		return next, nil
	}
	it.kind, it.meta.Lost, it.batch = recLost, true, nil
	res.lost++
	return next, f(it, pos, n)
}

// syncedUpTo returns the highest position that a sound commit record of the
// last segment says was synced.
func syncedUpTo(s *scanner) (int64, error) {
	trusted := s.pos
	for pos := s.pos; pos < s.size; {
		k, record, sound, err := s.record(pos)
		if err != nil {
			return 0, err
		}
		if !sound {
			if pos, err = s.resync(pos); err != nil {
				return 0, err
			}
			continue
		}
		var it item
		if k == recCommit && parseItem(k, record[frameBytes:], &it) == nil && it.pos <= pos {
			trusted = max(trusted, it.pos)
			if it.pos == pos {
				trusted = pos + int64(len(record))
			}
		}
		pos += int64(len(record))
	}
	return trusted, nil
}

func (f found) describe(number uint32, size int64) []string {
	var all []string
	if f.damaged > 0 {
		all = append(all, fmt.Sprintf("segment %d: %d damaged records skipped, %d of them batches to be fetched again",
			number, f.damaged, f.lost))
	}
	if f.torn {
		all = append(all, fmt.Sprintf("segment %d: %d bytes of an incomplete write cut off at %d", number, size-f.end, f.end))
	}
	return all
}
