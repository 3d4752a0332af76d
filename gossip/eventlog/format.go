package eventlog

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const formatName = "format"

// migration brings a directory from one format version to the next.
type migration struct {
	from uint32
	run  func(fs FileSystem, dir string) error
}

// migrations are the steps from each older version; the first version has none.
var migrations []migration

// checkFormat reads or makes the format file, migrates an older directory, and
// returns the log's incarnation.
func checkFormat(fsys FileSystem, dir string, steps []migration) (uint64, error) {
	name := filepath.Join(dir, formatName)
	text, err := readFile(fsys, name, 4<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return makeFormat(fsys, dir)
	}
	if err != nil {
		return 0, err
	}
	version, incarnation, err := parseFormat(text)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", name, err)
	}
	if version > formatVersion {
		return 0, fmt.Errorf("%w: %s says %d, this program reads up to %d", ErrFormat, name, version, formatVersion)
	}
	for version < formatVersion {
		i := slices.IndexFunc(steps, func(m migration) bool { return m.from == version })
		if i < 0 {
			return 0, fmt.Errorf("%w: no way from version %d", ErrFormat, version)
		}
		if err := steps[i].run(fsys, dir); err != nil {
			return 0, fmt.Errorf("migrate from version %d: %w", version, err)
		}
		version++
		if err := writeFile(fsys, name, formatText(version, incarnation), true); err != nil {
			return 0, err
		}
	}
	return incarnation, nil
}

// makeFormat begins a log; if segments are there, it takes up their incarnation.
func makeFormat(fsys FileSystem, dir string) (uint64, error) {
	incarnation := randomUint64()
	all, err := listFiles(fsys, dir)
	if err != nil {
		return 0, err
	}
	for _, number := range slices.Sorted(maps.Keys(all)) {
		head, err := readHead(fsys, segmentPath(dir, number)+segmentSuffix)
		if err != nil {
			continue
		}
		h, err := parseFileHeader(head, segmentMagic)
		if errors.Is(err, ErrFormat) {
			return 0, err
		}
		if err == nil {
			incarnation = h.incarnation
			break
		}
	}
	name := filepath.Join(dir, formatName)
	return incarnation, wrapFull(writeFile(fsys, name, formatText(formatVersion, incarnation), true))
}

func readHead(fsys FileSystem, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	head := make([]byte, headerBytes)
	n, _ := f.ReadAt(head, 0) // a short header does not parse
	return head[:n], nil
}

func formatText(version uint32, incarnation uint64) []byte {
	return fmt.Appendf(nil, "busnode eventlog\nversion %d\nincarnation %016x\n", version, incarnation)
}

func parseFormat(text []byte) (version uint32, incarnation uint64, err error) {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) < 3 || lines[0] != "busnode eventlog" {
		return 0, 0, fmt.Errorf("%w: not a format file", ErrFormat)
	}
	v, err := strconv.ParseUint(strings.TrimPrefix(lines[1], "version "), 10, 32)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	incarnation, err = strconv.ParseUint(strings.TrimPrefix(lines[2], "incarnation "), 16, 64)
	if err != nil {
		return 0, 0, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return uint32(v), incarnation, nil
}

func randomUint64() uint64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, see its documentation
	return binary.LittleEndian.Uint64(b[:])
}
