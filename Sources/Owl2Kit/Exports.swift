// One import gives an embedding program all that it needs.
@_exported import Owl2Checkpoint
@_exported import Owl2Core
@_exported import Owl2Image
@_exported import Owl2Tensor
@_exported import Owl2Tokenizer
