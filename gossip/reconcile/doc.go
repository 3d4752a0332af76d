// Package reconcile finds what two nodes' sets of batches differ in.
//
// A [Set] holds the items of one topic: the (time, ID) of every batch at or
// above the floor. Two nodes compare digests of time ranges; where a digest
// differs, they tell each other what they hold there. The package is pure: it
// starts nothing, asks no clock and draws no random number, and its results
// depend on the sets' contents alone. It may change until v1.
//
// # The digest of a range
//
// Both sides must get the same digest for the same items of [low, high), in
// whatever order they came, and whatever else each of them holds outside. So
// the digest of a range is defined as that of the trie of exactly its items:
//
//   - A key is the item's time (8 bytes, big endian, sign bit flipped) and its
//     ID (32 bytes), read as 80 hexadecimal digits.
//   - At most 4,096 items are a leaf: SHA-256(0x00 ‖ IDs in order of (time, ID)).
//   - More are split by the first digit in which they differ. The inner node is
//     SHA-256(0x01 ‖ for each child that is not empty, its digit ‖ its digest).
//   - On the wire go the first 8 bytes, big endian. Zero is the empty range;
//     a digest that comes out as zero is sent as one.
//
// A node of the trie that lies inside the range as a whole has the same digest
// in the set's trie as in the range's, so it is kept there until its items
// change. Only the two edges of a range are hashed anew: at most 4,096 items
// each, and none where the edge falls between two nodes, as all those do
// that [Set.Ranges] chooses. Sums of hashes would be cheaper to maintain, but
// sets can be built that collide under them.
//
// In memory the trie splits at 256 items, so that inserting moves few bytes.
// Digests do not see that.
//
// # An exchange
//
// The initiator sends an Open with [Set.Ranges] between floor and cut. The
// responder finds the stale ranges with [Set.Compare] and answers with
// [Encode]: what it holds in them, newest ranges first. The initiator learns
// from [Decode] what it lacks and what the other lacks. A stale range with
// more items than an answer may carry is named by [Oversize]: the responder
// answers that one with an Open of its own, over the bounds of the range
// alone, and the roles swap. So each step divides an oversize range by the
// number of ranges in an Open.
//
// [Encode] and [Decode] are the seam at which coded symbols are to replace
// plain short IDs. Short IDs are the first 8 bytes of the batch's ID and know
// no key. Who computes 2^32 hashes can sign two batches with one short ID, and
// hide one behind the other where a node holds only one of them. The author harms
// its own batches alone: a twin to a given ID takes 2^64 hashes.
package reconcile
