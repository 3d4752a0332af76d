package socket_test

import (
	"slices"
	"testing"
	"time"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

func TestUnreadTellsOfWhatWaits(t *testing.T) {
	all, err := socket.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	lo := slices.IndexFunc(all, func(i socket.Interface) bool { return i.Kind == socket.Loopback })
	if lo < 0 {
		t.Skip("no loopback interface is up")
	}
	c, err := socket.Open(all[lo], socket.IPv4, socket.GroupOf([16]byte{0: 9, 8: 7}))
	if err != nil {
		t.Fatal(err)
	}
	if c.Unread() {
		t.Error("something waits before anything was sent")
	}
	if _, err := c.Write([][]byte{[]byte("one"), []byte("two")}, 1); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); !c.Unread(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing waits after something was sent")
		}
	}
	var b socket.Batch
	for read := 0; read < 2; read += len(b.Datagrams) {
		if err := c.Read(&b); err != nil {
			t.Fatal(err)
		}
	}
	if c.Unread() {
		t.Error("something waits after all was read")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if c.Unread() {
		t.Error("something waits in a closed socket")
	}
}
