"""A shop to practise on: a catalogue, shoppers with needs, sessions that react to what they see."""
