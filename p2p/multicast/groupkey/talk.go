package groupkey

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"
)

// version is the exchange's; an acceptor answers others with verdictVersion.
const version = 1

// verdict is one side's answer. Values are appended, never reused.
type verdict byte

const (
	verdictAgreed verdict = iota
	verdictUnlisted
	verdictNetwork
	verdictVersion
	verdictBusy
)

// Errors of an exchange.
var (
	errUnlisted = errors.New("groupkey: the peer has not this node on its allow-list")
	errNetwork  = errors.New("groupkey: the peer is on another network")
	errGone     = errors.New("groupkey: the peer was taken off the allow-list")
	errBusy     = errors.New("groupkey: the peer is busy")
	errTalk     = errors.New("groupkey: the peer speaks another version, or no sense")
)

func (v verdict) err() error {
	switch v {
	case verdictAgreed:
		return nil
	case verdictUnlisted:
		return errUnlisted
	case verdictNetwork:
		return errNetwork
	case verdictBusy:
		return errBusy
	case verdictVersion:
	}
	return fmt.Errorf("%w: verdict %d", errTalk, v)
}

type tag [8]byte

// tagOf returns what two nodes of one network have in common.
func tagOf(network string) tag {
	sum := sha256.Sum256([]byte("busnode 1 group key\x00" + network))
	return tag(sum[:])
}

// ask is the opener's side: it returns the better root of the two, which both
// sides know then.
func ask(s io.ReadWriter, network tag, ours record) (record, error) {
	_, broken := s.Write(append([]byte{version}, network[:]...)) // who does not list us reads nothing, but answers
	if err := readVerdict(s); err != nil || broken != nil {
		return record{}, errors.Join(err, broken)
	}
	theirs, err := readRecord(s)
	if err != nil {
		return record{}, err
	}
	if _, err := s.Write(ours.append(nil)); err != nil {
		return record{}, err
	}
	if err := readVerdict(s); err != nil {
		return record{}, err
	}
	return better(ours, theirs), nil
}

// answer is the acceptor's side, up to the last verdict: the caller sends that
// once it keeps what answer returned.
func answer(s io.ReadWriter, network tag, ours record) (record, error) {
	var hello [1 + len(tag{})]byte
	if _, err := io.ReadFull(s, hello[:]); err != nil {
		return record{}, err
	}
	v := verdictAgreed
	switch {
	case hello[0] != version:
		v = verdictVersion
	case tag(hello[1:]) != network:
		v = verdictNetwork
	}
	if v != verdictAgreed {
		_, err := s.Write([]byte{byte(v)})
		return record{}, errors.Join(v.err(), err)
	}
	if _, err := s.Write(ours.append([]byte{byte(v)})); err != nil {
		return record{}, err
	}
	theirs, err := readRecord(s)
	if err != nil {
		return record{}, err
	}
	return better(ours, theirs), nil
}

func better(x, y record) record {
	if y.beats(x) {
		return y
	}
	return x
}

func readVerdict(r io.Reader) error {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return err
	}
	return verdict(b[0]).err()
}

func readRecord(r io.Reader) (record, error) {
	var b [recordBytes]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return record{}, err
	}
	rec, err := parseRecord(b[:])
	if err == nil && !rec.inReach(time.Now()) {
		return record{}, fmt.Errorf("%w: generation %d", ErrRecord, rec.generation)
	}
	return rec, err
}
