"""Questions as users ask them, with what a passage must say to answer them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """A question; a passage with any of these phrases answers it."""

    text: str
    answers: tuple[str, ...]


def _questions(*pairs: tuple[str, ...]) -> list[Question]:
    return [Question(text, answers) for text, *found in pairs for answers in [tuple(found)]]


PYTHON = _questions(
    (
        "How do I catch an error under a name so that I can look at it?",
        'is assigned to the target specified after the "as" keyword',
    ),
    (
        "When is the finally block run if an exception was raised?",
        'information is not available to the program during execution of the "finally"',
        'If "finally" is present, it specifies a \u2018cleanup\u2019 handler',
    ),
    (
        "Does the else part of a loop still run after break?",
        'terminates the loop without executing the "else" clause',
    ),
    (
        "Why is my list default argument shared between calls of the function?",
        "Default parameter values are evaluated from left to right when the function",
        "the default parameter value is in effect modified",
    ),
    (
        "How can I make my objects usable as dictionary keys?",
        "only required property is that objects which compare equal have the same hash value",
        'Called by built-in function "hash()"',
    ),
    (
        "What should my class have so that it can be used in a with statement?",
        "object that defines the runtime context to be established when executing",
    ),
    (
        "How do I cut white space off both ends of a string?",
        "Return a copy of the string with the leading and trailing characters removed",
    ),
    (
        "How can I show a number with commas between the thousands?",
        "signals the use of a comma for a thousands",
        "Using the comma as a thousands separator",
    ),
    (
        "Compare strings without caring about upper and lower case",
        "Casefolded strings may be used for caseless matching",
    ),
    (
        "How do I import a module from the folder above my package?",
        "leading dots in the specified module or package",
    ),
    (
        "How do I set a breakpoint in the debugger only when some expression is true?",
        "expression which must evaluate to true before the breakpoint is honored",
        "which must evaluate to true before the breakpoint",
    ),
    (
        "What values count as false in an if?",
        "Here are most of the built-in objects considered false",
        "the following values are interpreted as false",
    ),
    (
        "Make a variable in an outer function assignable from an inner one",
        "causes the listed identifiers to refer to names previously bound in nonlocal scopes",
    ),
    (
        "Difference between a shallow copy and the list itself: how do I duplicate a list?",
        "creates a shallow copy of",
        'same as "s[:]"',
    ),
    (
        "What is printed by default when I have only __repr__ and no __str__?",
        'defines "__repr__()" but not "__str__()"',
    ),
    (
        "How do I save memory by not having a __dict__ in each instance?",
        'The space saved over using "__dict__" can be significant',
    ),
    (
        "Can I chain comparisons such as a < b < c?",
        "Comparisons can be chained arbitrarily",
    ),
    (
        "Is integer division rounded down for negative numbers?",
        "the result is that of mathematical division with the \u2018floor\u2019 function applied",
    ),
    (
        "How are keys of a dictionary ordered?",
        "Dictionaries preserve insertion order",
    ),
)

AWS = _questions(
    (
        "How long can I hide a message from other consumers at most?",
        "The maximum is 12 hours",
        "0 to 43200",
    ),
    (
        "Where do messages go that were received too many times without success?",
        "the dead-letter queue functionality of the source queue",
        "dead-letter queue to which Amazon SQS moves messages",
        "after the value of maxReceiveCount is exceeded",
    ),
    (
        "Delete all the messages that wait in a queue",
        "Deletes available messages in a queue",
    ),
    (
        "How do I wait for messages instead of polling an empty queue again and again?",
        "for which the call waits for a message to arrive in the queue before returning",
        "for which a ReceiveMessage action waits for a message to arrive",
    ),
    (
        "Reserve concurrent executions for one function",
        "Sets the maximum number of simultaneous executions for a function",
    ),
    (
        "How much memory can my function have and does it affect the CPU?",
        "Increasing the function memory also increases its CPU allocation",
    ),
    (
        "Skip stream records that are too old for my function",
        "Discard records older than the specified age",
    ),
    (
        "How can I make a table expire items by themselves?",
        "enables or disables Time to Live (TTL)",
    ),
    (
        "Can I write to several tables so that either everything is saved or nothing?",
        "synchronous write operation that groups up to 100 action requests",
    ),
    (
        "Update an item only if an attribute has a certain value",
        "A condition that must be satisfied in order for a conditional update to succeed",
        "You can also perform a conditional update on an existing item",
    ),
    (
        "How many items can be read in one batch?",
        "can retrieve up to 16 MB of data, which can contain as many as 100 items",
    ),
    (
        "Get read results that reflect all earlier writes",
        "strongly consistent reads; otherwise",
        "If your application requires a strongly consistent read",
    ),
    (
        "Upload a large file in pieces",
        "This action initiates a multipart upload and returns an upload ID",
    ),
    (
        "What is the smallest part size when I upload in pieces?",
        "Your proposed upload is smaller than the minimum allowed object size",
        "5 MB in size, except the last part",
    ),
    (
        "How do I keep objects from being overwritten or deleted by accident?",
        "Places an Object Lock configuration on the specified bucket",
    ),
    (
        "Make old files move to cheaper storage automatically",
        "Creates a new lifecycle configuration for the bucket",
    ),
    (
        "How many addresses can subscribe, and do I have to confirm an email subscription?",
        "If the endpoint type is HTTP/S or email, or if the endpoint and the topic are not in",
    ),
    (
        "Run something every five minutes",
        "rate(5 minutes)",
    ),
    (
        "What if some of the events I put on the bus were rejected?",
        "PutEvents",
    ),
    (
        "Change the secret's value regularly without doing it by hand",
        "Configures and starts the asynchronous process of rotating the secret",
    ),
    (
        "I deleted a secret by mistake: how can I get it back?",
        "Cancels the scheduled deletion of a secret",
    ),
    (
        "How long do I have before a key is destroyed for good?",
        "applies a waiting period of 30 days",
        "The waiting period, specified in number of days",
    ),
    (
        "Turn on yearly renewal of key material",
        "Enables automatic rotation of the key material",
    ),
    (
        "How many days are log events kept and how do I change it?",
        "Sets the retention of the specified log group",
    ),
    (
        "Send an alert when a metric goes over a limit",
        "Creates or updates an alarm and associates it with the specified metric",
    ),
    (
        "Block a user of my app from signing in",
        "Deactivates a user profile and revokes all access tokens for the user",
        "Deactivates a user",
    ),
    (
        "A user forgot his password: send a code to reset it",
        "Sends a password-reset confirmation code",
        "Begins the password reset process",
    ),
    (
        "Replace all the tasks of a service although nothing has changed",
        "Determines whether to force a new deployment of the service",
        "force a new deployment",
    ),
    (
        "Run a command inside a running container",
        "Runs a command remotely on a container within a task",
    ),
    (
        "Make a copy of the database at this moment",
        "Creates a snapshot of a DB instance",
        "Creates a snapshot of a DB cluster",
    ),
    (
        "Restore the database as it was yesterday at noon",
        "Restores a DB instance to an arbitrary point in time",
        "Restores a DB cluster to an arbitrary point in time",
    ),
    (
        "Prove that I own the domain so that the certificate is issued",
        "must be validated to verify that you own or control the domain",
        "to validate that you own or control domain",
        "requests domain ownership validation",
    ),
    (
        "Remove files from the edge caches before they expire",
        "Create a new invalidation",
    ),
    (
        "Stop mails from going to addresses that bounced",
        "Adds an email address to the suppression list for your account",
    ),
    (
        "Limit how far a role's permissions can go, whatever policies are attached",
        "boundary to control the maximum permissions that the role can have",
    ),
)

FRENCH = _questions(
    (
        "Comment simuler une installation sans rien changer au système ?",
        "réalise une simulation des événements qui pourraient survenir",
    ),
    (
        "Comment répondre oui à toutes les questions automatiquement ?",
        "Répondre automatiquement oui aux questions",
    ),
    (
        "Comment désinstaller un paquet avec ses fichiers de configuration ?",
        "purge est identique à remove",
        "les paquets indiqués sont supprimés et purgés",
        "Purger un paquet",
    ),
    (
        "Supprimer les dépendances devenues inutiles",
        "dans le but de satisfaire les dépendances d'autres paquets et qui ne sont plus",
    ),
    (
        "Comment empêcher qu'un paquet soit mis à jour ?",
        "hold permet de marquer un paquet comme retenu",
    ),
    (
        "À quel paquet appartient un fichier installé ?",
        "Recherche les paquets propriétaires de fichiers",
        "Rechercher un fichier",
    ),
    (
        "Lister les fichiers installés par un paquet",
        "Affiche la liste des fichiers du nom-du-paquet",
        "Afficher la liste des fichiers installés",
    ),
    (
        "Quelle version est choisie quand plusieurs dépôts proposent le même paquet ?",
        "la version qui possède la priorité la plus haute",
    ),
    (
        "Vider le cache des archives téléchargées",
        "La commande clean nettoie le dépôt local des paquets récupérés",
    ),
    (
        "Comment apt vérifie-t-il que les paquets n'ont pas été falsifiés ?",
        "apt sait vérifier la signature du fichier Release",
        "la chaîne de confiance se construit en plusieurs étapes",
        "Une somme de contrôle de tous les paquets est ensuite calculée",
    ),
    (
        "Changer l'éditeur par défaut avec les alternatives",
        "update-alternatives --config",
    ),
    (
        "Créer un utilisateur système sans mot de passe",
        "Créer un compte système",
        "ajoute un utilisateur système",
    ),
    (
        "Ajouter un utilisateur existant à un groupe",
        "ajoutera un utilisateur existant à un groupe existant",
        "utilisateur existant à un groupe existant",
    ),
    (
        "Verrouiller le mot de passe d'un compte",
        "Verrouiller le mot de passe",
    ),
    (
        "Fixer la date à laquelle un compte expire",
        "à partir de laquelle le compte de l'utilisateur ne sera plus accessible",
    ),
    (
        "Quels processus utilisent ce fichier ?",
        "identifie les processus qui utilisent",
    ),
    (
        "Limiter la mémoire utilisée pendant la compression",
        "limite d'utilisation de la mémoire pour la compression",
    ),
    (
        "Garder le fichier original après l'avoir compressé",
        "Ne pas effacer les fichiers d'entrée",
    ),
    (
        "Afficher l'arbre des processus sous forme hiérarchique",
        "sous forme d'arbre",
    ),
    (
        "Comment afficher la table de routage ?",
        "tables de routage",
    ),
    (
        "Chercher un mot dans les descriptions des pages de manuel",
        "recherche et affiche cette description pour chaque page",
        "Chercher le nom et la description des pages de manuel",
    ),
    (
        "Convertir un vidage hexadécimal en binaire",
        "Opération inverse",
    ),
    (
        "A quoi sert l'epoque dans un numero de version ?",
        "le rôle de epoch est de permettre",
    ),
    (
        "Comment construire seulement le paquet source ?",
        "Équivalent à --build=source",
        "--build=source",
    ),
)

QUESTIONS = {"python": PYTHON, "aws": AWS, "fr": FRENCH}
"""The questions, by the part of the corpus that has the answers."""
