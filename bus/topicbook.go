package bus

import (
	"sync"

	"github.com/busnode/busnode/gossip/wire"
)

// topicBook knows topics that may have events some day, and tells the readers
// whose filters they match.
type topicBook struct {
	mu      sync.Mutex // guards the fields below
	known   map[string]struct{}
	readers map[*reader]struct{} // with wildcards
}

func newTopicBook() *topicBook {
	return &topicBook{known: map[string]struct{}{}, readers: map[*reader]struct{}{}}
}

// learn adds a topic.
func (t *topicBook) learn(topic string) {
	for _, r := range t.enter(topic) {
		r.join(topic)
	}
}

// enter returns the readers that a new topic concerns.
func (t *topicBook) enter(topic string) (concerned []*reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.known[topic]; ok {
		return nil
	}
	t.known[topic] = struct{}{}
	for r := range t.readers {
		if wire.Match(r.filter, topic) {
			concerned = append(concerned, r)
		}
	}
	return concerned
}

// follow adds a reader and returns the topics known so far.
func (t *topicBook) follow(r *reader) []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers[r] = struct{}{}
	topics := make([]string, 0, len(t.known))
	for topic := range t.known {
		topics = append(topics, topic)
	}
	return topics
}

func (t *topicBook) unfollow(r *reader) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.readers, r)
}

// authorNames keeps the text form of authors' peer IDs, which is dear to make
// for each batch.
type authorNames struct {
	mu    sync.Mutex // guards the field below
	names map[wire.Author]PeerID
}

const authorNamesMax = 1 << 16

func newAuthorNames() *authorNames { return &authorNames{names: map[wire.Author]PeerID{}} }

func (a *authorNames) id(author wire.Author) PeerID {
	a.mu.Lock()
	defer a.mu.Unlock()
	if id, ok := a.names[author]; ok {
		return id
	}
	if len(a.names) >= authorNamesMax {
		clear(a.names)
	}
	id := authorIDOf(author)
	a.names[author] = id
	return id
}
