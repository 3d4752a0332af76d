// Package reconcile finds what two nodes' sets of batches differ in, at a cost
// that depends on the difference and not on the sets.
//
// A [Set] holds the items of one topic: the (time, ID) of every batch at or
// above the floor. A [View] is what of it is compared with one peer: all but
// the items in an [Except], which that peer has trimmed. Two nodes compare a
// digest over everything ([TopicTree]); topics that differ are opened, and an exchange
// between an [Initiator] and a [Responder] finds the items. The package is pure: it
// starts nothing, asks no clock and draws no random number. Messages are the
// caller's to send, limits the caller's to set. It may change until v1.
//
//	x := reconcile.Begin(view, link, open, limits)           // send open
//	y, answer, cells, offered := reconcile.Respond(view, link, nonce, open, limits) // the other node
//	result, err := x.Answer(view, answer)                     // then each of cells:
//	result, err = x.Cells(m)                                  // result.More: send it, and
//	cells, err = y.More(view, more)                           // so on until result.Done
//	items := y.Resolve(result.Lack)                           // names of what the asker lacks
//
// # The digest of a range
//
// Both sides must get the same digest for the same items of [low, high), in
// whatever order they came, and whatever else each of them holds outside. So
// the digest of a range is defined as that of the trie of exactly its items:
//
//   - An item's place is its time (8 bytes, big endian, sign bit flipped) and its
//     ID (32 bytes), read as 80 hexadecimal digits.
//   - At most 4,096 items are a leaf: SHA-256(0x00 ‖ IDs in order of (time, ID)).
//   - More are split by the first digit in which they differ. The inner node is
//     SHA-256(0x01 ‖ for each child that is not empty, its digit ‖ its digest).
//   - The empty range has 32 zero bytes.
//
// A node of the trie that lies inside the range as a whole has the same digest
// in the set's trie as in the range's, so it is kept there until its items
// change. Only the two edges of a range are hashed anew: at most 4,096 items
// each, and none where the edge falls between two nodes, as all those do
// that [View.Ranges] chooses. Of nodes with exceptions, an Except keeps the digests.
// Sums of hashes would be cheaper to maintain, but sets can be built that collide under them.
//
// In memory the trie splits at 256 items, so that inserting moves few bytes.
// Digests do not see that.
//
// # Keys
//
// All that goes on the wire in place of something longer goes under a key of
// SipHash-2-4 that nobody knew before, so nothing can be made beforehand that collides
// there. Derive(key, b) is SipHash-2-4-128 of b: its two halves are k0 and k1 of the new
// key. Numbers are 8 bytes, big endian.
//
//	link    = Derive({lesser, greater of the ends' two numbers}, "busnode link")
//	open    = Derive(link, "busnode open" ‖ Open.Nonce)
//	session = Derive(link, "busnode session" ‖ Open.Nonce ‖ Answer.Nonce ‖ topic)
//
// The digest of a range is the low 32 bits of SipHash(open, 32 bytes), that of a finer
// range likewise under session; a node of the tree of topics has the 64 bits of SipHash(link, 32
// bytes). Zero is the empty range's; a digest that comes out as zero is sent as one.
//
// # Symbols
//
// Under the session key, with F the finaliser of SplitMix64 and k0, k1 the key's halves:
//
//	short ID = SipHash(session, 32-byte ID) >> 16       48 bits
//	x        = F(short ID ^ k0)
//	check    = x >> 40                                  24 bits
//	state    = F(x ^ k1) | 1
//
// A symbol is the XOR of the short IDs of the items that take part in it, the XOR of their
// checks, and their number. All take part in symbol 0. After symbol i (integers, / rounds down):
//
//	state = state · 0xda942042e4dd58b5 mod 2^64
//	high  = state >> 32
//	root  = max(high, high ^ (state mod 2^32)) + 1
//	next  = ((2i + 3) · 2^32 / root − 1) / 2
//
// This is the mapping of Rateless IBLT (Yang, Gilad, Alizadeh, SIGCOMM 2024). The test vectors
// are in mapping_test.go. The asker subtracts its own symbols. One whose count is then 1 or
// −1, whose check belongs to its short ID, and which that item takes part in, is an item that
// the one or the other lacks; it is taken out of the others, and so on. 1.35 symbols a
// difference are enough on average, 10 bytes each.
//
// The counts of the first symbols estimate the number d of differences for nothing: with N
// the count of symbol i, d is the mean of ((2+i)N − 2N₀)²/2i. Its standard deviation is
// √(2/m) of it after m symbols, and the next flight leaves room for that. A first estimate, of
// the size of the first flight, are the counts of the ranges likewise.
//
// # An exchange
//
// The Open has some 46 ranges, the newest of some 32 items and older ones coarser. Where a
// digest differs and one side has nothing, all is surplus or offered; some few items are told
// as plain short IDs; the other ranges are coded together: symbols over their union.
// Where this would cost over 20 ms of hashing and few differences are expected, the answerer
// divides them first and the asker names the parts that differ. Over the limits, the newest ranges come
// first and the rest next time. What is found comes with each flight.
//
// Found short IDs are claims, to be verified by hash and signature of what they lead to.
//
// # Costs
//
// At a million batches, ten a second, half of the difference on each side, bytes both ways:
// 430 for one recent batch that is missing, 2,220 for 100 recent ones (2,860 in 95 % of the exchanges), 5,900
// (divided) for 100 anywhere, 15,350 for 1,000 recent ones (16,970), 14.3 a difference from 10^4 on; two round
// trips in seven exchanges of eight, rarely four. The
// figures and the processor time are those of BenchmarkExchange; TestExchangesCostWhatTheDifferenceIsWorth
// holds bytes and round trips. An exchange keeps 24 bytes for each item in coded ranges.
//
// # Attacks
//
//   - Items ground so that they take part in few symbols, or two with one short ID: they fit one
//     key, and the session has another. By chance, two items share a short ID once in 2^48 pairs; the
//     exchange is then stuck ([ErrStuck]), what was found holds, and the next has another key.
//   - Symbols that mean nothing: no more is found than symbols were received, an exchange has at most
//     [SymbolsMax] in twelve flights, and memory grows with what was received.
//   - Counts and limits claimed: nothing is allocated from them, and what they make us hash is bounded
//     by [Limits] and told by Work, for the caller to charge.
package reconcile
