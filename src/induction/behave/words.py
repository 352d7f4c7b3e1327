"""Words of a few categories, for patterns that no literal repetition carries."""

MONTHS = (
    *("January", "February", "March", "April", "May", "June", "July", "August"),
    *("September", "October", "November", "December"),
)
COLOURS = (
    *("red", "blue", "green", "yellow", "black", "white", "purple", "orange"),
    *("pink", "brown", "grey", "violet"),
)
ANIMALS = (
    *("dog", "cat", "horse", "lion", "tiger", "mouse", "rabbit", "sheep", "cow", "bear"),
    *("wolf", "fox", "snake", "frog", "duck", "eagle", "goat", "deer", "monkey", "pig"),
)
FRUITS = (
    *("apple", "banana", "cherry", "grape", "lemon", "lime", "mango", "peach", "pear", "plum"),
    *("melon", "fig", "date", "kiwi", "papaya", "apricot", "coconut", "olive", "quince", "guava"),
)
LABELS = ("0", "1", "2", "3")
