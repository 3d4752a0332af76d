// Package datagram is what a multicast segment carries: sealed datagrams of at
// most 1,196 bytes, their keys, and the texts inside. It is pure: no clock, no
// socket, no goroutine.
//
//	 0         2     3      4           8                    24          32
//	+---------+-----+------+-----------+--------------------+-----------+----------------+-----+
//	| 'M' 'C' | ver | type | key hint  | stream id          | sequence  | sealed inner   | tag |
//	+---------+-----+------+-----------+--------------------+-----------+----------------+-----+
//	  the first 32 bytes are clear and authenticated                       AES-256-GCM       16
//
// A stream is one run of one node on one segment, under a random id. Its
// datagrams are numbered from 1 and the numbers never start again, whatever the
// epoch, so one replay window a stream serves all epochs. A key belongs to
// one root, epoch, stream and 2^32 numbers: a nonce, the number, cannot repeat.
//
//	root      given, or from the network's key and name      32 bytes
//	epoch key HKDF-Expand(root, "busnode multicast epoch" ‖ epoch)
//	hint      HKDF-Expand(epoch key, "hint")                  4 bytes
//	key       HKDF-Expand(epoch key, "stream" ‖ stream id ‖ high half of the number)
//
// All members know all keys: sealing proves that a member wrote a datagram, not
// which. Who a stream belongs to is told by signed beacons ([Beacon]), and what
// its frames hold is signed by their authors.
//
// The format may change until v1; types and fields are appended, never reused.
package datagram
