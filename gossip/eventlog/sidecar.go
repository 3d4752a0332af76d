package eventlog

import (
	"fmt"
)

// A sidecar holds what the index must know of a closed segment: its records,
// with recMeta in place of batches. It is renamed into place as a whole, and
// believed as a whole or not at all.

const sidecarMaxBytes = 1 << 30

// writeSidecar writes s.side. Nothing is written for a segment that was removed
// meanwhile: its sidecar would tell of a file that vanished.
func (s *segment) writeSidecar(incarnation uint64, sync bool) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.gone {
		return nil
	}
	h := fileHeader{
		magic: sidecarMagic, incarnation: incarnation, number: s.number, seed: s.seed,
		segmentSize: s.size, recordBytes: int64(len(s.side)),
	}
	sealRecords(s.side, s.seed)
	data := append(h.append(make([]byte, 0, headerBytes+len(s.side))), s.side...)
	if err := writeFile(s.fs, s.path+sidecarSuffix, data, sync); err != nil {
		return err
	}
	s.sideLength = int64(len(data))
	return nil
}

// readSidecar returns a sidecar's header and records.
func readSidecar(fs FileSystem, path string) (fileHeader, []byte, error) {
	data, err := readFile(fs, path+sidecarSuffix, sidecarMaxBytes)
	if err != nil {
		return fileHeader{}, nil, err
	}
	return parseSidecar(data)
}

func parseSidecar(data []byte) (fileHeader, []byte, error) {
	h, err := parseFileHeader(data, sidecarMagic)
	if err != nil {
		return h, nil, err
	}
	records := data[headerBytes:]
	if int64(len(records)) != h.recordBytes {
		return h, nil, fmt.Errorf("%w: sidecar has %d bytes of records, not %d", ErrDamaged, len(records), h.recordBytes)
	}
	var it item
	for rest := records; len(rest) > 0; {
		k, n, ok := checkFrame(rest)
		if !ok || n > len(rest) || k == recBatch || !checkRecord(rest[:n], h.seed) {
			return h, nil, fmt.Errorf("%w: sidecar's record at %d", ErrDamaged, len(records)-len(rest))
		}
		if err := parseItem(k, rest[frameBytes:n], &it); err != nil {
			return h, nil, err
		}
		rest = rest[n:]
	}
	return h, records, nil
}
