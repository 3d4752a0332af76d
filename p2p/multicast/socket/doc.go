// Package socket finds the interfaces on which multicast may be of use, and
// sends and receives datagrams of one group on each of them.
//
// A [Conn] is one interface and one family of addresses: what it sends leaves
// there, whatever the routes say, and it receives what came in there, was sent to
// the group, and is proven to be of the same link as far as the family allows:
//
//	IPv6  the hop limit is 255, which no router lets through (RFC 5082)
//	IPv4  the source is of a subnet of the interface; datagrams leave with TTL 1
//
// What fails this is counted by reason and is seen by nobody. Whether a datagram
// is authentic is not decided here.
//
// On Linux a socket is bound to the group's address and, under IPv6, to the
// interface, so that the kernel keeps from it what others join or send to the
// port. Elsewhere it is bound to the wildcard address, and each datagram's
// destination and interface are checked.
package socket
