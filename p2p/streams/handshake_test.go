package streams

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/busnode/busnode/gossip/wire"
)

// shake runs both sides of a handshake over a pipe and returns what they made of it.
func shake(i, r handshake) (versions [2]uint32, errs [2]error) {
	a, b := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		versions[1], errs[1] = r.respond(b)
		_ = b.Close()
	}()
	versions[0], errs[0] = i.initiate(a)
	_ = a.Close()
	<-done
	return versions, errs
}

func TestHandshake(t *testing.T) {
	h := handshake{secret: []byte("secret"), protocol: "p", initiator: "alice", responder: "bob"}
	versions, errs := shake(h, h)
	if errs[0] != nil || errs[1] != nil || versions[0] != wire.VersionMax || versions[1] != wire.VersionMax {
		t.Fatalf("versions %v, errors %v", versions, errs)
	}
	for name, change := range map[string]func(*handshake){
		"another secret":    func(h *handshake) { h.secret = []byte("other") },
		"another protocol":  func(h *handshake) { h.protocol = "q" },
		"another initiator": func(h *handshake) { h.initiator = "mallory" },
		"another responder": func(h *handshake) { h.responder = "mallory" },
	} {
		other := h
		change(&other)
		if _, errs := shake(h, other); !errors.Is(errs[0], ErrOtherNetwork) || !errors.Is(errs[1], ErrOtherNetwork) {
			t.Errorf("%s: errors %v, want ErrOtherNetwork on both sides", name, errs)
		}
	}
}

// rw reads from one place and writes to another.
type rw struct {
	io.Reader
	io.Writer
}

func TestStrangerLearnsNothingButNonces(t *testing.T) {
	h := handshake{secret: []byte("secret"), protocol: "p", initiator: "alice", responder: "bob"}
	var first, second bytes.Buffer
	stranger := append(newHello(), make([]byte, proofBytes)...)
	for _, out := range []*bytes.Buffer{&first, &second} {
		if _, err := h.respond(rw{bytes.NewReader(stranger), out}); !errors.Is(err, ErrOtherNetwork) {
			t.Fatalf("respond: %v, want ErrOtherNetwork", err)
		}
		if got := out.Len(); got != 2+helloBytes+1 {
			t.Errorf("the stranger got %d bytes, want a hello and a verdict", got)
		}
	}
	if bytes.Equal(first.Bytes(), second.Bytes()) {
		t.Error("the nonce is not fresh")
	}
	// Nothing but the nonce depends on who answers.
	if !bytes.Equal(first.Bytes()[:10], second.Bytes()[:10]) || first.Bytes()[2+helloBytes] != verdictRefused {
		t.Errorf("the answers are %x and %x", first.Bytes(), second.Bytes())
	}
}

func TestProofCannotBeReflected(t *testing.T) {
	h := handshake{secret: []byte("secret"), protocol: "p", initiator: "alice", responder: "bob"}
	if bytes.Equal(h.proof("initiator", []byte("x"), []byte("y")), h.proof("responder", []byte("x"), []byte("y"))) {
		t.Error("both sides' proofs are equal")
	}
}

func TestHandshakeOfAnotherVersion(t *testing.T) {
	h := handshake{secret: []byte("secret"), protocol: "p", initiator: "alice", responder: "bob"}
	future := newHello()
	future[5], future[9] = 200, 250 // lowest and highest version
	if _, err := h.respond(rw{bytes.NewReader(future), io.Discard}); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("respond: %v, want ErrVersion", err)
	}
	if _, err := h.initiate(rw{bytes.NewReader(future), io.Discard}); !errors.Is(err, wire.ErrVersion) {
		t.Errorf("initiate: %v, want ErrVersion", err)
	}
}

func FuzzHandshake(f *testing.F) {
	h := handshake{secret: []byte("secret"), protocol: "p", initiator: peer.ID("alice"), responder: peer.ID("bob")}
	f.Add([]byte{})
	f.Add(newHello())
	f.Add(append(newHello(), make([]byte, 1+proofBytes)...))
	f.Add(append(append(newHello(), verdictAccepted), make([]byte, proofBytes)...))
	f.Fuzz(func(t *testing.T, in []byte) {
		// Nobody without the secret passes, whatever he says.
		if _, err := h.respond(rw{bytes.NewReader(in), io.Discard}); err == nil {
			t.Error("a responder took a forged proof")
		}
		if _, err := h.initiate(rw{bytes.NewReader(in), io.Discard}); err == nil {
			t.Error("an initiator took a forged proof")
		}
	})
}
