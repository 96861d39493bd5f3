"""Word lists of English narration: verbs that carry speech, determiners, titles, nouns with a gender.

Curated for attribution alone; what a word means elsewhere is of no concern here.
"""

from typing import Literal

from orpheus_batch.text.abbreviations import words

Gender = Literal["female", "male", "neutral", ""]

SPEAK = (
    "say says said ask asks asked reply replies replied answer answers answered cry cries cried exclaim "
    "exclaims exclaimed shout shouts shouted whisper whispers whispered murmur murmurs murmured mutter "
    "mutters muttered call calls called continue continues continued add adds added remark remarks remarked "
    "observe observes observed return returns returned rejoin rejoins rejoined respond responds responded "
    "retort retorts retorted inquire inquires inquired enquire enquires enquired demand demands demanded "
    "repeat repeats repeated interrupt interrupts interrupted interpose interposed interject interjected "
    "ejaculate ejaculated declare declares declared suggest suggests suggested snap snaps snapped growl "
    "growled gasp gasped begin begins began think thinks thought admit admits admitted agree agrees agreed "
    "assent assented insist insists insisted protest protests protested plead pleads pleaded beg begs begged "
    "comment commented explain explains explained announce announces announced yell yells yelled scream "
    "screams screamed roar roared groan groaned sob sobbed stammer stammered falter faltered urge urges urged "
    "command commanded order orders ordered warn warns warned wonder wonders wondered muse mused query "
    "queried question questioned echo echoed pursue pursued resume resumed proceed proceeded persist "
    "persisted persevered conclude concluded finish finished acknowledge acknowledged confess confessed "
    "concede conceded assure assured promise promised propose proposed volunteer volunteered venture ventured "
    "object objected breathe breathed pant panted drawl drawled grumble grumbled mumble mumbled bawl bawled "
    "bellow bellowed bark barked hiss hissed croak croaked squeak squeaked squeal squealed shriek shrieked "
    "wail wailed whimper whimpered whine whined moan moaned giggle giggled sneer sneered scoff scoffed jeer "
    "jeered joke joked quip quipped counsel counselled advise advised bade blurt blurted bluster blustered "
    "boom boomed boast boasted caution cautioned challenge challenged chant chanted chide chided chime chimed "
    "coax coaxed complain complained confirm confirmed contradict contradicted correct corrected counter "
    "countered croon crooned decide decided explode exploded expostulate expostulated fume fumed grunt "
    "grunted hazard hazarded howl howled implore implored entreat entreated instruct instructed intone "
    "intoned invite invited lament lamented lisp lisped maintain maintained marvel marvelled mock mocked note "
    "noted offer offered opine opined pipe piped pray prayed press pressed proclaim proclaimed prompt "
    "prompted pronounce pronounced purr purred quaver quavered quote quoted rage raged rap rapped rasp rasped "
    "read reads rattle rattled reassure reassured recall recalled recite recited reflect reflected "
    "remonstrate remonstrated remind reminded report reported request requested ruminate ruminated scold "
    "scolded sing sang snarl snarled snort snorted soliloquize soliloquized soothe soothed splutter "
    "spluttered sputter sputtered stutter stuttered state stated stress stressed surmise surmised swear swore "
    "tell told thunder thundered trill trilled vow vowed speak spoke supplement supplemented summarise "
    "summarised approve approved apologise apologised apologize apologized specify specified simper simpered "
    "sniff sniffed philosophise philosophised recommend recommended insinuate insinuated hint hinted greet "
    "greeted hail hailed encourage encouraged enlighten enlightened apostrophise apostrophised chaffed "
    "hallooed screeched cackled crowed gurgled gulped ground moralised reiterated reproved rebuked sung "
    "vociferated"
)
SHOW = (
    "laugh laughs laughed sigh sighs sighed smile smiles smiled grin grins grinned nod nods nodded chuckle chuckled "
    "shrug shrugged frown frowned beam beamed sneer wink winked bow bowed yawn yawned cough coughed"
)
VERBS = words(SPEAK) | words(SHOW)
"""that may carry a quotation"""
PHRASAL = {
    "put": "in", "puts": "in", "went": "on", "goes": "on", "go": "on", "broke": "in out forth", "breaks": "in",
    "burst": "out in forth", "cut": "in", "chimed": "in", "struck": "in", "pointed": "out", "called": "out",
    "cried": "out", "sang": "out", "spoke": "up", "piped": "up", "blurted": "out", "shouted": "out", "came": "back",
    "ran": "on", "threw": "in", "joined": "in", "rapped": "out", "flashed": "back", "shot": "back", "chipped": "in",
    "spat": "out", "faltered": "out", "read": "out", "jerked": "out", "roared": "out", "got": "out", "rattled": "on",
    "pressed": "on", "summed": "up", "rang": "out", "hurried": "on", "held": "forth", "carried": "on",
}  # fmt: skip
NOT_INVERTED = words(
    "told tell assured reminded informed reassured bade greeted hailed instructed encouraged enlightened invited "
    "thanked implored entreated begged"
)
"""take an object: in "told Alice", Alice hears"""
OBJECTS = words("nothing no little something anything naught nought never not")
"""after "he said": what was said is not the quotation"""
PRONOUNS = words("he she it they i we who you")
GROUPS = words(
    "both all everybody everyone everything somebody someone several many another others one two three four voices "
    "some few none nobody each either neither half others' anybody anyone people men women they we crowd chorus "
    "company party public audience jury answer reply voice words tone letter note paper which that this those these "
    "first second third former latter"
)
DETERMINERS = words("the a an my his her our their your its this that another")
LINKS = words("of de la le du van von der den ten ter o' d' di da del the bin ibn st y")
STOPS = words(
    "in with to at as and from after before who whom which when while on for but or by into upon under over "
    "through without within between among across along against off out up down toward towards behind beneath beside "
    "besides near until till since because though although that so then now again also too very quite rather just "
    "only still even ever never always once not nor is are was were be been being has have had having do does did "
    "will would shall should can could may might must here there where how why what if unless like than about "
    "the a an my his her our their your its this that above below around he she it they we you i me him them us "
    "himself herself itself themselves myself "
    "almost already soon presently suddenly thus meanwhile both all each no yes well oh ah more most less least "
    "came went got took made gave put stood sat turned looked rose began seemed appeared"
)
ADVERBS = words(
    "then now again also too only just still even here there at last once length first length aside aloud low "
    "always never ever often once more back over slowly thus merely simply almost quite rather very so well "
    "himself herself itself in his her turn finally"
)
AUXILIARIES = words("had has have would did could must should might may was were is ’d 'd will can does used")
NOT_LY = words(
    "family lily elderly friendly lonely lovely ugly burly sickly surly early homely ghastly portly jolly bully "
    "ally fly bodily silly holy curly woolly wily oily prickly cowardly saintly motherly fatherly stately comely belly "
    "butterfly firefly dragonfly gadfly"
)
NOT_NAMES = words(
    "the a an and but or so then when while if as at in on of to for with from by he she it they we you i his her its "
    "their our my your this that these those there here what who how why where which yes no oh ah well now not all "
    "both one two another after before again still only even though although because since until perhaps then once "
    "suddenly presently meanwhile at last finally nobody everybody everyone someone somebody each every some many "
    "few several next indeed never always just very such god heaven good christmas monday tuesday wednesday thursday "
    "friday saturday sunday january february march april may june july august september october november december "
    "english french german american chapter"
)
TITLES: dict[str, Gender] = {
    **dict.fromkeys(words("mr sir lord master king prince duke count baron father uncle brother monsieur signor "
                          "herr don squire friar emperor earl messrs mister grandfather cardinal pope esq"), "male"),
    **dict.fromkeys(words("mrs miss ms lady madam madame mademoiselle mme mlle queen princess duchess countess "
                          "baroness mother aunt sister signora signorina señora frau dame mistress empress "
                          "grandmother widow abbess"), "female"),
    **dict.fromkeys(words("dr doctor professor prof captain capt colonel col general gen major lieutenant lieut lt "
                          "sergeant sgt inspector insp superintendent constable judge justice rev reverend revd st "
                          "saint president governor gov senator commander admiral corporal private dean bishop hon "
                          "honourable detective"), ""),
}  # fmt: skip
NOUNS: dict[str, Gender] = {
    **dict.fromkeys(words("man boy gentleman lad fellow king prince father son husband brother uncle nephew "
                          "grandfather sailor priest monk waiter butler footman lord duke knight squire swain "
                          "sir chap youth policeman fisherman workman clergyman nobleman countryman kinsman "
                          "bridegroom landlord coachman groom valet actor count baron emperor wizard grandson "
                          "papa daddy sergeant constable"), "male"),
    **dict.fromkeys(words("woman girl lady mother daughter wife sister aunt niece grandmother nurse maid queen "
                          "princess duchess countess landlady hostess waitress bride widow governess housekeeper "
                          "mistress lass actress heiress nun witch madame mamma mama maiden damsel housemaid "
                          "granddaughter stewardess matron"), "female"),
}  # fmt: skip
