import Owl2Core
