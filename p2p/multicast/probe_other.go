//go:build !linux

package multicast

import (
	"context"

	"github.com/busnode/busnode/p2p/multicast/socket"
)

// findQuerier needs packet sockets, which are different on each of these systems.
func findQuerier(context.Context, socket.Interface) querier { return unknown }

// settings knows of none that matter on these systems.
func settings(socket.Interface) []Finding { return nil }
