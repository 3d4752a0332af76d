package eventlog

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/busnode/busnode/gossip/wire"
)

// byteFile is a file that is read alone.
type byteFile struct{ *bytes.Reader }

func (byteFile) WriteAt([]byte, int64) (int, error) { return 0, errors.ErrUnsupported }
func (byteFile) Truncate(int64) error               { return errors.ErrUnsupported }
func (byteFile) Datasync() error                    { return nil }
func (byteFile) Close() error                       { return nil }
func (f byteFile) Size() (int64, error)             { return f.Reader.Size(), nil }

var sampleItems = []item{
	{kind: recCommit, pos: 44},
	{kind: recGap, offset: 7, time: 9, gap: Gap{
		Topic: "t", Author: wire.Author{1}, To: wire.Mark{Epoch: 2, Seq: 3}, Reason: "lost",
	}},
	{kind: recVerdict, meta: Meta{ID: wire.BatchID{1}, Verdict: 5}},
	{kind: recCursor, life: 1, name: "d", topic: "t", offset: 3},
	{kind: recDurable, life: 1, name: "d", filter: ">"},
	{kind: recForget, life: 1, name: "d"},
	{kind: recTrim, topic: "t", author: wire.Author{1}, mark: wire.Mark{Epoch: 1, Seq: 2}, time: 5},
	{kind: recTopic, topic: "t", offset: 9, floor: 4},
	{kind: recRelease, meta: Meta{ID: wire.BatchID{1}, Offset: 5, Released: true, Late: true, Header: wire.Header{
		Topic: "t", Author: wire.Author{1}, Epoch: 3, First: 4, Count: 5, Time: 6,
	}}},
	{kind: recMeta, pos: 99, meta: Meta{ID: wire.BatchID{1}, Offset: 5, Released: true, Size: 77, Header: wire.Header{
		Version: 1, Network: "n", Topic: "t", Author: wire.Author{1}, Epoch: 3, First: 4, Count: 5, Time: 6,
		Prev: wire.Prev{Mark: wire.Mark{Epoch: 1, Seq: 2}, Time: 3}, Kind: 1, Compression: 1, BodyLen: 2,
		BodySum: [32]byte{1}, Unreadable: true,
	}}},
}

func TestItemsParseAsTheyWereAppended(t *testing.T) {
	for _, want := range sampleItems {
		record := appendItem(nil, &want)
		sealRecords(record, 42)
		kind, n, ok := checkFrame(record)
		if !ok || n != len(record) || kind != want.kind || !checkRecord(record, 42) || checkRecord(record, 43) {
			t.Fatalf("frame of %+v", want)
		}
		var got item
		if err := parseItem(kind, record[frameBytes:], &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
		}
		for cut := range len(record) - frameBytes {
			if err := parseItem(kind, record[frameBytes:frameBytes+cut], &got); err == nil {
				t.Errorf("kind %d parses when cut at %d", kind, cut)
			}
		}
	}
}

func sampleRecords() []byte {
	var all []byte
	for i := range sampleItems {
		all = appendItem(all, &sampleItems[i])
	}
	sealRecords(all, 1)
	return all
}

func FuzzItem(f *testing.F) {
	for i := range sampleItems {
		record := appendItem(nil, &sampleItems[i])
		f.Add(byte(sampleItems[i].kind), record[frameBytes:])
	}
	f.Fuzz(func(t *testing.T, kind byte, payload []byte) {
		var it item
		if parseItem(recordKind(kind), payload, &it) != nil || it.batch != nil {
			return
		}
		var again item
		record := appendItem(nil, &it)
		if err := parseItem(it.kind, record[frameBytes:], &again); err != nil || !reflect.DeepEqual(it, again) {
			t.Errorf("%v\nfirst  %+v\nsecond %+v", err, it, again)
		}
	})
}

func FuzzSegment(f *testing.F) {
	f.Add(sampleRecords(), true)
	f.Add(append([]byte{recordMagic, byte(recBatch), 0xff, 0xff, 0xff}, sampleRecords()...), false)
	f.Fuzz(func(t *testing.T, data []byte, last bool) {
		s := &scanner{file: byteFile{bytes.NewReader(data)}, size: int64(len(data)), seed: 1}
		covered := int64(0)
		res, err := scanSegment(s, last, func(_ *item, pos int64, n int) error {
			if pos < covered || n <= 0 {
				t.Fatalf("record at %d after %d", pos, covered)
			}
			covered = pos + int64(n)
			return nil
		})
		if err != nil || res.end > int64(len(data)) || covered > res.end {
			t.Errorf("end %d of %d, covered %d: %v", res.end, len(data), covered, err)
		}
		if cap(s.window) > max(windowBytes, len(data)) {
			t.Errorf("a window of %d bytes for %d", cap(s.window), len(data))
		}
	})
}

func FuzzSidecar(f *testing.F) {
	records := sampleRecords()
	h := fileHeader{magic: sidecarMagic, incarnation: 1, number: 1, seed: 1, recordBytes: int64(len(records))}
	f.Add(append(h.append(nil), records...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, records, err := parseSidecar(data); err == nil && len(records)+headerBytes != len(data) {
			t.Errorf("%d bytes of records in %d", len(records), len(data))
		}
	})
}

func TestFormatVersions(t *testing.T) {
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	dir := t.TempDir()
	name := filepath.Join(dir, formatName)
	if err := writeFile(osFS{}, name, formatText(formatVersion+1, 7), false); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Config{Logger: quiet}); !errors.Is(err, ErrFormat) {
		t.Errorf("newer version: %v, want ErrFormat", err)
	}
	if err := writeFile(osFS{}, name, formatText(formatVersion-1, 7), false); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Config{Logger: quiet}); !errors.Is(err, ErrFormat) {
		t.Errorf("older version without a step: %v, want ErrFormat", err)
	}
	ran := 0
	step := migration{from: formatVersion - 1, run: func(FileSystem, string) error { ran++; return nil }}
	for range 2 {
		l, err := openWith(dir, Config{Logger: quiet}, []migration{step})
		if err != nil {
			t.Fatal(err)
		}
		if l.Info().Incarnation != 7 || ran != 1 {
			t.Errorf("incarnation %d, %d migrations", l.Info().Incarnation, ran)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := (osFS{}).Remove(name); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir, Config{Logger: quiet})
	if err != nil || l.Info().Incarnation != 7 {
		t.Fatalf("without the format file: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := readFile(osFS{}, name, 1000); errors.Is(err, fs.ErrNotExist) {
		t.Error("the format file was not made again")
	}
}

func TestConfigIsValidated(t *testing.T) {
	for _, cfg := range []Config{{Sync: 9}, {Interval: -1}, {SegmentBytes: 1}} {
		if _, err := Open(t.TempDir(), cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
	for _, name := range []string{"always", "interval", "never"} {
		p, err := ParseSyncPolicy(name)
		if err != nil || p.String() != name {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
	if _, err := ParseSyncPolicy("sometimes"); err == nil {
		t.Error("an unknown policy was taken")
	}
}
