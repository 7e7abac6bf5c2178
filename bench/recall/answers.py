"""Answers as models write them, with the documents of a small knowledge base that each uses."""

from dataclasses import dataclass

from bench.recall.small import BOUTIQUE, MAIRIE, SERVICE, SHOP, Base


@dataclass(frozen=True)
class Answer:
    """An answer to a prompt with all the documents of the base, and those it is made from."""

    base: Base
    text: str
    uses: frozenset[str]


def _answers(base: Base, *answers: tuple[str, str]) -> tuple[Answer, ...]:
    return tuple(Answer(base, text, frozenset(uses.split())) for text, uses in answers)


ANSWERS = (
    *_answers(
        SHOP,
        (
            (
                "Dear Anna,\n\nThank you for your message. You can return the boots within 30 days"
                " of receiving them, as long as they are unworn and still have their label. Simply"
                " print the return label from your account and hand the parcel in at any post"
                " office. Returning it from the United Kingdom is free.\n\nKind regards,\nThe team"
            ),
            "refunds",
        ),
        (
            (
                "Standard delivery takes three to five working days. If you order before 2 pm,"
                " express delivery brings it the next working day for £8.50."
            ),
            "delivery",
        ),
        ("We are open on Sundays from 11:00 to 16:00.", "hours"),
        ("Within 30 days of receiving the item.", "refunds"),
        (
            (
                "I'm sorry to hear that your vase is broken! Please send a photograph to"
                " help@example.com, and we will replace the damaged item at our expense."
            ),
            "refunds",
        ),
        (
            (
                "Delivery is free for orders over £40. Sale items cannot be refunded, but you can"
                " exchange them for another size."
            ),
            "delivery refunds",
        ),
        ("I could not find anything about gift vouchers in the documents.", ""),
        ("I'm sorry, but the documents do not say whether sale items can be gift-wrapped.", ""),
        ("Yes, absolutely!", ""),
        (
            (
                "The capital of Mongolia is Ulaanbaatar, a city of about one and a half million"
                " people."
            ),
            "",
        ),
        (
            (
                "To boil an egg, bring water to the boil, put the egg in for eight minutes and"
                " then cool it under cold water."
            ),
            "",
        ),
        (
            (
                "Thank you for contacting us. We have received your message and will get back to"
                " you as soon as possible. Have a great day!"
            ),
            "",
        ),
        ("Your parcel is kept for ten days at a collection point near you.", "delivery"),
        ("You'll find us at 12 Bridge Street in Bath.", "hours"),
        (
            (
                "The refund goes to the card you paid with, within five working days of us"
                " receiving the parcel. For other questions call 01225 555 010 during opening"
                " hours."
            ),
            "refunds hours",
        ),
    ),
    *_answers(
        BOUTIQUE,
        (
            (
                "Bonjour Anne,\n\nVous avez 30 jours après réception pour nous retourner vos"
                " bottes, à condition qu'elles n'aient pas été portées et qu'elles aient leur"
                " étiquette. Le retour est gratuit depuis la France.\n\nBien cordialement"
            ),
            "retours",
        ),
        (
            (
                "La livraison standard coûte 4,90 € et prend trois à cinq jours ouvrés. Elle est"
                " offerte dès 50 € d'achat."
            ),
            "livraison",
        ),
        ("Nous sommes fermés le dimanche et le lundi.", "horaires"),
        ("Notre boutique se trouve au 12 rue du Pont, à Nantes.", "horaires"),
        ("Oui, nous livrons en Belgique et en Suisse.", "livraison"),
        (
            (
                "Les articles soldés ne sont pas remboursés, mais vous pouvez les échanger contre"
                " une autre taille."
            ),
            "retours",
        ),
        ("Je n'ai pas trouvé d'information sur les cartes cadeaux dans les documents.", ""),
        ("Les documents fournis ne précisent pas si les articles soldés sont repris.", ""),
        ("Désolé, je ne sais pas.", ""),
        ("La capitale de la Mongolie est Oulan-Bator.", ""),
        ("Merci pour votre message, nous revenons vers vous très vite. Bonne journée !", ""),
        (
            (
                "Votre colis est conservé dix jours au point relais. Pour toute question,"
                " appelez-nous au 02 55 55 01 10 pendant les heures d'ouverture."
            ),
            "livraison horaires",
        ),
    ),
    *_answers(
        SERVICE,
        ("The Team plan costs 12 dollars per user per month.", "plans"),
        (
            (
                "You can cancel at any time under Settings > Billing > Cancel. Your plan then runs"
                " until the end of the paid period."
            ),
            "cancel",
        ),
        (
            (
                "- Invoices: download them under Settings, Billing.\n- Payment: we accept Visa,"
                " Mastercard and American Express."
            ),
            "billing",
        ),
        ("Your data is stored in Frankfurt and Dublin and is encrypted at rest.", "security"),
        (
            (
                "Deleted workspaces can be restored for 30 days. Please contact our support team"
                " and tell them the name of the workspace."
            ),
            "cancel",
        ),
        ("Use one of your ten recovery codes, or ask an owner to reset it.", "login"),
        ("There is no information about an Android app in the passages.", ""),
        ("The maximum file size is 250 MB.", "limits"),
        ("Guests cost nothing and only see the projects they were added to.", "members"),
        ("Our sales team would be delighted to arrange a demonstration for you next week.", ""),
        (
            (
                "Slack is a messaging platform for teams; many companies use it to share files and"
                " to talk about projects."
            ),
            "",
        ),
        ("You can import your tasks from Trello, Asana or a CSV file.", "export"),
    ),
    *_answers(
        MAIRIE,
        ("Le passeport coûte 86 € en timbres fiscaux, la carte est gratuite.", "identite"),
        ("Les ordures ménagères sont ramassées le lundi et le jeudi matin.", "dechets"),
        (
            (
                "Pour une piscine, une déclaration préalable est nécessaire ; l'instruction prend"
                " un mois."
            ),
            "urbanisme",
        ),
        (
            "Vous devez déclarer la naissance à la mairie du lieu de naissance sous cinq jours.",
            "naissance",
        ),
        ("Le maire est élu pour six ans par le conseil municipal.", ""),
        ("Aucune information n'est donnée à ce sujet dans les documents.", ""),
        (
            (
                "La salle des fêtes peut être louée 350 € le week-end par les habitants, avec une"
                " caution de 500 €."
            ),
            "salles",
        ),
        ("Nous vous souhaitons une bonne rentrée et restons à votre disposition.", ""),
        (
            (
                "Apportez une photo récente, un justificatif de domicile de moins d'un an et votre"
                " ancienne carte."
            ),
            "identite",
        ),
    ),
)

LATER = (
    *_answers(
        SHOP,
        ("It takes about a week at most, and it's free if you spend more than £40.", "delivery"),
        ("Gift vouchers are sold at the till and are good for two years.", ""),
        (
            "You get your money back on the card you used, usually after five working days.",
            "refunds",
        ),
        ("No, we don't open on bank holidays. On Saturdays you can come until 18:00.", "hours"),
        ("Wool should be washed by hand in cold water and dried flat.", ""),
        ("The courier takes it to a collection point if you are out.", "delivery"),
        ("Yes, of course you can return it.", ""),
    ),
    *_answers(
        BOUTIQUE,
        ("Comptez trois à cinq jours ouvrés, ou 24 heures en express pour 9,90 €.", "livraison"),
        ("La laine se lave à la main, à l'eau froide.", ""),
        ("Vous serez remboursée sur la carte qui a servi au paiement.", "retours"),
        ("Nous acceptons PayPal, les chèques et les virements.", ""),
    ),
    *_answers(
        SERVICE,
        (
            "We try the payment again three times; after ten days the workspace is read-only.",
            "billing",
        ),
        ("With Business you get single sign-on and an audit log.", "plans"),
        ("There's no Slack integration mentioned in the documents I have.", ""),
        (
            "Above 100 requests a minute the API answers 429, so wait a little and try again.",
            "limits",
        ),
        ("We are a young company from Hamburg and were founded by three students.", ""),
    ),
    *_answers(
        MAIRIE,
        ("Un permis de construire est obligatoire au-delà de 20 m².", "urbanisme"),
        ("Il faut s'inscrire sur les listes électorales avant la fin de l'année.", ""),
        ("Prévenez la cantine au moins 48 heures avant l'absence.", "ecole"),
        ("La bibliothèque est ouverte du mardi au samedi.", ""),
    ),
)
"""Answers written after the figures of afterword.knowledge.citations were chosen."""
