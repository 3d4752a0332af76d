package multicast

import (
	"context"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

// machine is what the carrier needs of the system; tests bring their own.
type machine interface {
	// interfaces returns those that are up.
	interfaces() ([]socket.Interface, error)
	// watch returns a channel that has a value when to look again; it ends with ctx.
	watch(ctx context.Context) <-chan struct{}
	open(socket.Interface, socket.Family, socket.Group) (endpoint, error)
	// querier finds out whether somebody on the link asks for groups' members.
	querier(ctx context.Context, i socket.Interface) querier
	// settings returns what in the system's settings stands in the way.
	settings(i socket.Interface) []Finding
}

// endpoint is a socket on one interface: what a [socket.Conn] can do.
type endpoint interface {
	Read(*socket.Batch) error
	Unread() bool
	Write(datagrams [][]byte, burst int) (sent int, err error)
	Update(socket.Interface)
	Rejoin() error
	ReceiveBuffer() int
	Stats() socket.Stats
	Close() error
}

// system is the machine that the process runs on.
type system struct{}

func (system) interfaces() ([]socket.Interface, error)   { return socket.Interfaces() }
func (system) watch(ctx context.Context) <-chan struct{} { return socket.Watch(ctx) }

func (system) settings(i socket.Interface) []Finding { return settings(i) }

func (system) querier(ctx context.Context, i socket.Interface) querier { return findQuerier(ctx, i) }

func (system) open(i socket.Interface, f socket.Family, g socket.Group) (endpoint, error) {
	return socket.Open(i, f, g)
}
