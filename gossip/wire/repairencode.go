package wire

// The writers of the messages by which nodes ask for batches and send them,
// and compare topics.

func appendWant(dst []byte, m *Want) []byte {
	dst = appendUint(dst, 1, uint64(m.ID))
	dst = appendString(dst, 2, m.Topic)
	dst = appendBytes(dst, 3, m.Author[:])
	dst = appendMark(dst, 4, m.After)
	dst = appendMark(dst, 6, m.Upto)
	dst = appendUint(dst, 8, uint64(m.MaxBytes))
	return appendResumes(dst, 9, m.Resume)
}

func appendWantIDs(dst []byte, m *WantIDs) []byte {
	dst = appendUint(dst, 1, uint64(m.ID))
	dst = appendString(dst, 2, m.Topic)
	dst = appendIDs(dst, 3, m.IDs)
	dst = appendUint(dst, 4, uint64(m.MaxBytes))
	return appendResumes(dst, 5, m.Resume)
}

func appendResumes(dst []byte, num int, list []Resume) []byte {
	for i := range list {
		dst = beginNested(dst, num)
		start := len(dst)
		dst = appendBytes(dst, 1, list[i].ID[:])
		dst = appendUint(dst, 2, uint64(list[i].Offset))
		dst = endNested(dst, start)
	}
	return dst
}

func appendPart(dst []byte, m *Part) []byte {
	dst = appendBytes(dst, 1, m.Batch[:])
	dst = appendUint(dst, 2, uint64(m.Size))
	dst = appendUint(dst, 3, uint64(m.Offset))
	return appendBytes(dst, 4, m.Data)
}

func appendTrimmed(dst []byte, m *Trimmed) []byte {
	dst = appendString(dst, 1, m.Topic)
	for i := range m.Marks {
		dst = beginNested(dst, 2)
		start := len(dst)
		dst = appendBytes(dst, 1, m.Marks[i].Author[:])
		dst = appendMark(dst, 2, m.Marks[i].Mark)
		dst = endNested(dst, start)
	}
	return dst
}

func appendHeartbeat(dst []byte, m *Heartbeat) []byte {
	dst = appendTime(dst, 1, m.Wall)
	dst = appendTime(dst, 2, m.Floor)
	dst = appendTime(dst, 3, m.Cut)
	return appendFixed(dst, 4, m.Digest)
}

func appendTopicDigests(dst []byte, m *TopicDigests) []byte {
	dst = appendTime(dst, 1, m.Floor)
	dst = appendTime(dst, 2, m.Cut)
	for i := range m.Nodes {
		n := &m.Nodes[i]
		dst = beginNested(dst, 3)
		start := len(dst)
		dst = appendFixed(dst, 1, n.Prefix)
		dst = appendUint(dst, 2, uint64(n.Depth))
		dst = appendFixed(dst, 3, n.Digest)
		dst = appendUint(dst, 4, uint64(n.Topics))
		dst = endNested(dst, start)
	}
	return dst
}
