package streams

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/wire"
)

// The handshake of a stream proves to both ends that the other knows the
// network's name and key. I is the opener of the stream, R its acceptor:
//
//	I → R  hello      length (2) | lowest version (4) | highest (4) | nonce (32) | ignored
//	R → I  hello      likewise
//	I → R  proof      HMAC(secret, "initiator" …)                              (32)
//	R → I  verdict    0, or 1 and HMAC(secret, "responder" …)                  (1 or 33)
//
// Both MACs cover the protocol, both peer IDs (as the connection authenticated
// them) and both hellos whole, so a proof serves for this stream between these
// peers alone. R answers a stranger with a nonce and one zero byte. I shows its
// proof before R does; from it, a network without a key can be guessed by name,
// off line. Numbers are big endian.
const (
	nonceBytes    = 32
	proofBytes    = sha256.Size
	helloBytes    = 4 + 4 + nonceBytes
	helloBytesMax = 256
)

// The values are on the wire.
const (
	verdictRefused  = 0
	verdictAccepted = 1
)

// Errors of a handshake, which callers test with [errors.Is].
var (
	// ErrOtherNetwork says that the other side does not know our network's name
	// and key, or we not its. Which of the two differs cannot be told: that
	// would tell it to strangers as well.
	ErrOtherNetwork = errors.New("streams: on another network or with another network key")
	// ErrHandshake says that the other side does not speak the protocol.
	ErrHandshake = errors.New("streams: malformed handshake")
)

// handshake is one stream's: its ends, its protocol and the network's secret.
type handshake struct {
	secret               []byte
	protocol             string
	initiator, responder peer.ID
}

// initiate runs the opener's side and returns the version to speak.
// It reads no byte beyond the handshake.
func (h handshake) initiate(rw io.ReadWriter) (version uint32, err error) {
	ours := newHello()
	if _, err := rw.Write(ours); err != nil {
		return 0, fmt.Errorf("send hello: %w", err)
	}
	theirs, err := readHello(rw)
	if err != nil {
		return 0, err
	}
	if version, err = negotiate(theirs); err != nil {
		return 0, err
	}
	if _, err := rw.Write(h.proof("initiator", ours, theirs)); err != nil {
		return 0, fmt.Errorf("send proof: %w", err)
	}
	var verdict [1 + proofBytes]byte
	if _, err := io.ReadFull(rw, verdict[:1]); err != nil {
		return 0, fmt.Errorf("read verdict: %w", err)
	}
	if verdict[0] != verdictAccepted {
		return 0, ErrOtherNetwork
	}
	if _, err := io.ReadFull(rw, verdict[1:]); err != nil {
		return 0, fmt.Errorf("read proof: %w", err)
	}
	if !hmac.Equal(verdict[1:], h.proof("responder", ours, theirs)) {
		return 0, ErrOtherNetwork
	}
	return version, nil
}

// respond runs the acceptor's side and returns the version to speak.
// It reads no byte beyond the handshake.
func (h handshake) respond(rw io.ReadWriter) (version uint32, err error) {
	theirs, err := readHello(rw)
	if err != nil {
		return 0, err
	}
	ours := newHello()
	if _, err := rw.Write(ours); err != nil {
		return 0, fmt.Errorf("send hello: %w", err)
	}
	if version, err = negotiate(theirs); err != nil {
		return 0, err
	}
	var proof [proofBytes]byte
	if _, err := io.ReadFull(rw, proof[:]); err != nil {
		return 0, fmt.Errorf("read proof: %w", err)
	}
	if !hmac.Equal(proof[:], h.proof("initiator", theirs, ours)) {
		// The answer is a courtesy; the stranger may be gone.
		_, _ = rw.Write([]byte{verdictRefused})
		return 0, ErrOtherNetwork
	}
	verdict := append([]byte{verdictAccepted}, h.proof("responder", theirs, ours)...)
	if _, err := rw.Write(verdict); err != nil {
		return 0, fmt.Errorf("send proof: %w", err)
	}
	return version, nil
}

// proof returns the MAC of one side over everything that was said.
func (h handshake) proof(side string, initiatorHello, responderHello []byte) []byte {
	mac := hmac.New(sha256.New, h.secret)
	for _, field := range [...][]byte{
		[]byte("busnode handshake"), []byte(side), []byte(h.protocol),
		[]byte(h.initiator), []byte(h.responder), initiatorHello, responderHello,
	} {
		var length [4]byte
		binary.BigEndian.PutUint32(length[:], uint32(len(field)))
		mac.Write(length[:])
		mac.Write(field)
	}
	return mac.Sum(nil)
}

func newHello() []byte {
	b := binary.BigEndian.AppendUint16(make([]byte, 0, 2+helloBytes), helloBytes)
	b = binary.BigEndian.AppendUint32(b, wire.VersionMin)
	b = binary.BigEndian.AppendUint32(b, wire.VersionMax)
	nonce := b[len(b) : len(b)+nonceBytes]
	_, _ = rand.Read(nonce) // never fails
	return b[:len(b)+nonceBytes]
}

// readHello returns a hello as it came, its length in front.
func readHello(r io.Reader) ([]byte, error) {
	var length [2]byte
	if _, err := io.ReadFull(r, length[:]); err != nil {
		return nil, fmt.Errorf("read hello: %w", err)
	}
	n := int(binary.BigEndian.Uint16(length[:]))
	if n < helloBytes || n > helloBytesMax {
		return nil, fmt.Errorf("%w: hello of %d bytes", ErrHandshake, n)
	}
	b := make([]byte, 2+n)
	copy(b, length[:])
	if _, err := io.ReadFull(r, b[2:]); err != nil {
		return nil, fmt.Errorf("read hello: %w", err)
	}
	return b, nil
}

func negotiate(hello []byte) (uint32, error) {
	return wire.Negotiate(binary.BigEndian.Uint32(hello[2:]), binary.BigEndian.Uint32(hello[6:]))
}
